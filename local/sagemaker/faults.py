"""The fault lab: what goes wrong on AWS now and then, made to happen to a job here.

    from local.sagemaker.faults import LAB, MissingCapacity, SpotInterruption, KilledRank
    with LAB.inject(SpotInterruption(job="*-train-*", when="epoch 3")):
        ...

A fault strikes jobs whose name matches, as often as ``times`` says. The lab is
one a process; nothing in production knows of it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Strikes ``times`` attempts of jobs whose name matches the shell pattern ``job``."""

    job: str
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class MissingCapacity(Fault):
    """There are no machines of ``instance`` (a shell pattern)."""

    instance: str = "*"


@dataclass(frozen=True, kw_only=True)
class SpotInterruption(Fault):
    """The spot machines are taken away once a log line matches ``when`` ('' = the first line).

    They come back, and the job starts again from its checkpoints, unless
    ``comes_back`` is False: then the job waits in vain until its
    MaxWaitTimeInSeconds.
    """

    when: str = ""
    comes_back: bool = True


@dataclass(frozen=True, kw_only=True)
class KilledRank(Fault):
    """A process of ``host`` whose command line matches ``process`` gets SIGKILL once a line matches ``when``."""

    host: str = "algo-1"
    process: str = "."
    when: str = ""


@dataclass(frozen=True, kw_only=True)
class UnhealthyEndpoint(Fault):
    """The containers of the endpoint ``job`` never answer /ping."""


F = TypeVar("F", bound=Fault)


class Lab:
    """The faults that wait for a job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[int, tuple[Fault, int]] = {}

    @contextlib.contextmanager
    def inject(self, fault: Fault) -> Iterator[Fault]:
        """Have ``fault`` wait for its job inside the ``with`` block."""
        with self._lock:
            self._left[id(fault)] = (fault, fault.times)
        try:
            yield fault
        finally:
            with self._lock:
                self._left.pop(id(fault), None)

    def take_missing_capacity(self, job: str, instance: str) -> MissingCapacity | None:
        """Return the fault that denies ``job`` its machines, used up by one."""
        return self._take(MissingCapacity, job, lambda fault: fnmatch.fnmatch(instance, fault.instance))

    def take_unhealthy(self, endpoint: str) -> UnhealthyEndpoint | None:
        """Return the fault that keeps ``endpoint`` from becoming healthy, used up by one."""
        return self._take(UnhealthyEndpoint, endpoint, lambda fault: True)

    def take_at_line(self, kind: type[F], job: str, line: str) -> F | None:
        """Return the ``kind`` of fault that strikes ``job`` at this log line, used up by one."""
        return self._take(kind, job, lambda fault: re.search(fault.when, line) is not None)

    def _take(self, kind: type[F], job: str, strikes: object) -> F | None:
        assert callable(strikes)
        with self._lock:
            for key, (fault, left) in self._left.items():
                if isinstance(fault, kind) and left and fnmatch.fnmatch(job, fault.job) and strikes(fault):
                    self._left[key] = (fault, left - 1)
                    return fault
        return None


LAB = Lab()
