"""Faults of Lambda functions: a sandbox that dies, and at which moment of its work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol

from local.chaos.calls import Call
from local.chaos.faults import (
    AFTER_WRITE,
    AT_END,
    BEFORE_WRITE,
    ExhaustedFunction,
    FunctionFault,
    KilledFunction,
    TimedOutFunction,
)
from local.chaos.lab import LAB


class Mortal(Protocol):
    """A sandbox."""

    id: str

    def die(self) -> None:
        """End at once."""


_doomed: dict[str, tuple[Mortal, KilledFunction]] = {}
_lock = threading.Lock()


def strike(function: str, payload: bytes, state: str) -> FunctionFault | None:
    """Return the fault that strikes an invocation."""
    if not LAB.waits(FunctionFault):
        return None
    return LAB.take(FunctionFault, function=function, payload=payload.decode(errors="replace"), state=state)


@contextlib.contextmanager
def doomed(sandbox: Mortal, fault: FunctionFault | None) -> Iterator[None]:
    """Have a sandbox die at the moment that ``fault`` says, inside the ``with`` block: one invocation."""
    if isinstance(fault, KilledFunction) and fault.moment != AT_END:
        with _lock:
            _doomed[sandbox.id] = (sandbox, fault)
    try:
        yield
    finally:
        with _lock:
            _doomed.pop(sandbox.id, None)


def ending(fault: FunctionFault | None) -> str:
    """Return how an invocation ends whose work was done: ``exit``, ``timeout``; '' is well."""
    if isinstance(fault, TimedOutFunction):
        return "timeout"
    return "exit" if isinstance(fault, KilledFunction) and fault.moment == AT_END else ""


def begins_at_all(fault: FunctionFault | None) -> bool:
    """Say whether an invocation gets as far as its handler."""
    return not isinstance(fault, ExhaustedFunction)


def any_doomed() -> bool:
    """Say whether some sandbox waits for its end, so that its calls are looked at."""
    return bool(_doomed)


def dies_before(call: Call) -> bool:
    """Kill the sandbox that makes this call, if that is its moment; say whether it was."""
    return _dies(call, BEFORE_WRITE)


def dies_after(call: Call) -> bool:
    """Kill the sandbox whose call was done just now, if that is its moment; say whether it was."""
    return _dies(call, AFTER_WRITE)


def _dies(call: Call, moment: str) -> bool:
    with _lock:
        sandbox, fault = _doomed.get(call.sandbox, (None, None))
        if sandbox is None or fault is None or fault.moment != moment or not call.writes:
            return False
        del _doomed[call.sandbox]
    sandbox.die()
    return True
