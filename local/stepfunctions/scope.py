"""Waits that end early when the execution is stopped, times out or loses a branch.

Every wait of an execution (Wait states, retries, polls, calls that block) goes
through a Scope. Scopes form a tree: execution, branch, task. Cancelling one
cancels all below it and wakes their threads at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Scope:
    """A stretch of an execution that can be cancelled or run out of time.

    Args:
        parent: the scope around it.
        seconds: laptop seconds until it runs out of time; None is for ever.
        expired: makes the exception to raise then.
    """

    def __init__(
        self,
        *,
        parent: Scope | None = None,
        seconds: float | None = None,
        expired: Callable[[], Exception] = TimeoutError,
    ) -> None:
        self._chain: list[Scope] = [self, *(parent._chain if parent else [])]
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._expired = expired
        self._reason: Exception | None = None
        self._waiting: set[threading.Event] = set()
        self._lock = threading.Lock()

    def cancel(self, reason: Exception) -> None:
        """Have every wait in this scope, or below it, raise ``reason``; the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            waiting = list(self._waiting)
        for done in waiting:
            done.set()

    def check(self) -> None:
        """Raise if this scope, or one around it, was cancelled or has run out of time."""
        self._check_cancelled()
        self._check_deadline()

    def wait(self, done: threading.Event, seconds: float | None = None) -> bool:
        """Wait until ``done`` is set or ``seconds`` (laptop time) pass; return whether it was set.

        Nobody else may wait for ``done``: an interruption sets it too.
        """
        with self._registered(done):
            self._check_cancelled()
            done.wait(self._shortest(seconds))
            self._check_cancelled()
            if done.is_set():
                return True
            self._check_deadline()
            return False

    def sleep(self, seconds: float) -> None:
        """Sleep ``seconds`` of laptop time, unless interrupted."""
        self.wait(threading.Event(), seconds)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function that blocks, in a thread; an interruption leaves it behind, as AWS does."""
        done = threading.Event()
        outcome: dict[str, Any] = {}

        def run() -> None:
            try:
                outcome["value"] = function()
            except Exception as error:
                outcome["error"] = error
            done.set()

        threading.Thread(target=run, name="stepfunctions-call", daemon=True).start()
        self.wait(done)
        if "error" in outcome:
            raise outcome["error"]
        value: T = outcome["value"]
        return value

    @contextmanager
    def _registered(self, done: threading.Event) -> Iterator[None]:
        for scope in self._chain:
            with scope._lock:
                scope._waiting.add(done)
        try:
            yield
        finally:
            for scope in self._chain:
                with scope._lock:
                    scope._waiting.discard(done)

    def _check_cancelled(self) -> None:
        for scope in self._chain:
            if scope._reason is not None:
                raise scope._reason

    def _check_deadline(self) -> None:
        for scope in self._chain:
            if scope._deadline is not None and time.monotonic() >= scope._deadline:
                raise scope._expired()

    def _shortest(self, seconds: float | None) -> float | None:
        now = time.monotonic()
        limits = [scope._deadline - now for scope in self._chain if scope._deadline is not None]
        if seconds is not None:
            limits.append(seconds)
        return max(0.0, min(limits)) if limits else None
