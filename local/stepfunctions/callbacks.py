"""Task tokens: a state that waits until somebody answers for it.

"Wait for a Callback with Task Token" (developer guide). An answer may come
before the call that handed out the token has returned.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

from local.stepfunctions.errors import HEARTBEAT_TIMEOUT, TIMEOUT, StateFailed
from local.stepfunctions.scope import Scope


class Callback:
    """One token and the answer it waits for.

    Args:
        machine: the ARN of the state machine that waits.
    """

    def __init__(self, machine: str) -> None:
        self.token, self.machine = str(uuid.uuid4()), machine
        self.open = True
        self._signal = threading.Event()
        self._lock = threading.Lock()
        self._answer: list[Any] = []

    def succeed(self, output: Any) -> None:
        """Answer with the state's result."""
        self._settle(output)

    def fail(self, error: str, cause: str) -> None:
        """Answer with a failure."""
        self._settle(StateFailed(error, cause))

    def beat(self) -> None:
        """Say that the work goes on."""
        self._signal.set()

    def result(self, scope: Scope, heartbeat: float | None) -> Any:
        """Wait for the answer.

        Args:
            scope: what may interrupt the wait, the state's time-out included.
            heartbeat: laptop seconds that may pass between two beats.

        Raises:
            StateFailed: the failure that was sent, or no heartbeat came in time.
        """
        try:
            while not self._answer:
                if not scope.wait(self._signal, heartbeat):
                    raise StateFailed(TIMEOUT, "", also=frozenset({HEARTBEAT_TIMEOUT}))
                self._signal.clear()
        finally:
            self.open = False
        if isinstance(self._answer[0], StateFailed):
            raise self._answer[0]
        return self._answer[0]

    def _settle(self, answer: Any) -> None:
        with self._lock:
            if not self._answer:
                self._answer.append(answer)
        self._signal.set()


class Callbacks:
    """Every token that was handed out."""

    def __init__(self) -> None:
        self._by_token: dict[str, Callback] = {}

    def create(self, machine: str) -> Callback:
        """Return a callback with a token of its own, for a state of the machine with this ARN."""
        callback = Callback(machine)
        self._by_token[callback.token] = callback
        return callback

    def find(self, token: str) -> Callback | None:
        """Return the callback of a token; None for a token that was never handed out."""
        return self._by_token.get(token)
