"""Faults of API calls, at the cloud's front door: refused, lost on the way, answered to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.chaos import calls, functions
from local.chaos.faults import CallFault, LostAnswer, LostCall, RefusedCall
from local.chaos.lab import LAB


class BrokenConnection(ConnectionError):
    """The connection breaks without an answer: werkzeug closes it in silence."""


def pass_through(environ: dict[str, Any], answer: Callable[[], Any]) -> Any:
    """Return what ``answer`` does with a request, unless a fault comes between.

    Raises:
        BrokenConnection: the caller gets no answer.
        Refusal: the caller gets this one.
    """
    if not LAB.waits(CallFault) and not functions.any_doomed():
        return answer()
    call = calls.read(environ)
    fault = LAB.take(CallFault, call=call.name, state=call.state, execution=call.execution)
    if isinstance(fault, RefusedCall):
        raise Refusal(fault)
    if isinstance(fault, LostCall) or functions.dies_before(call):
        raise BrokenConnection(call.name)
    answered = answer()
    if isinstance(fault, LostAnswer) or functions.dies_after(call):
        raise BrokenConnection(call.name)
    return answered


class Refusal(Exception):
    """A service refuses a call."""

    def __init__(self, fault: RefusedCall) -> None:
        super().__init__(fault.message)
        self.status, self.code = fault.status, fault.error
