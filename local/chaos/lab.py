"""The faults that wait, and what they struck.

    from local.chaos.faults import KilledRank, MissingCapacity
    from local.chaos.lab import LAB
    with LAB.inject(MissingCapacity(job="*-spot-*")):
        ...

The lab is one a process, as the laptop cloud is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from local.chaos.faults import ALWAYS, Fault

F = TypeVar("F", bound=Fault)


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault that struck, and whom: what the place told of it."""

    fault: Fault
    facts: dict[str, str]


@dataclass(kw_only=True, eq=False)
class Waiting:
    """A fault in the lab."""

    fault: Fault
    seen: int = 0
    strikes: list[Strike] = field(default_factory=list)

    def strike(self, facts: dict[str, str]) -> bool:
        """Count somebody whom it is meant for; say whether it strikes."""
        self.seen += 1
        first, times = self.fault.nth, self.fault.times
        if self.seen < first or (times != ALWAYS and self.seen >= first + times):
            return False
        self.strikes.append(Strike(fault=self.fault, facts=facts))
        return True


class Lab:
    """The faults that wait for somebody to strike."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []

    def add(self, fault: Fault) -> Waiting:
        """Have ``fault`` wait."""
        waiting = Waiting(fault=fault)
        with self._lock:
            self._waiting.append(waiting)
        return waiting

    def remove(self, waiting: Waiting) -> None:
        """Have a fault wait no more."""
        with self._lock:
            self._waiting = [other for other in self._waiting if other is not waiting]

    @contextlib.contextmanager
    def inject(self, *faults: Fault) -> Iterator[list[Waiting]]:
        """Have ``faults`` wait inside the ``with`` block; the yielded list says what they struck."""
        added = [self.add(fault) for fault in faults]
        try:
            yield added
        finally:
            for waiting in added:
                self.remove(waiting)

    def waits(self, kind: type[Fault]) -> bool:
        """Say whether any fault of ``kind`` waits: where telling facts costs something, ask first."""
        with self._lock:
            return any(isinstance(waiting.fault, kind) for waiting in self._waiting)

    def take(self, kind: type[F], **facts: str) -> F | None:
        """Return the fault of ``kind`` that strikes the one of whom ``facts`` are told, if any."""
        with self._lock:
            for waiting in self._waiting:
                fault = waiting.fault
                if isinstance(fault, kind) and fault.is_meant_for(facts) and waiting.strike(facts):
                    return fault
        return None


LAB = Lab()
