"""The laptop cloud's clock: every wait that a definition asks for, scaled.

1.0 waits as AWS does; 0.02 makes a retry of 60 s take 1.2 s, so that every
Retry, Wait and time-out can be exercised by tests. Real work (a training
process, a handler) is never scaled.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Scales the waits of state machines, polls and queues.

    Args:
        scale: laptop seconds for each second that a definition says.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(f"clock scale {self.scale!r} is not allowed; expected a number above 0, at most 1")

    def seconds(self, asked: float) -> float:
        """Return how long a wait of ``asked`` seconds takes here."""
        return asked * self.scale

    def sleep(self, asked: float, stop: threading.Event | None = None) -> bool:
        """Wait ``asked`` seconds of definition time; return True if ``stop`` was set meanwhile."""
        return (stop or threading.Event()).wait(self.seconds(asked))
