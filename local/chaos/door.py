"""Faults of API calls, at the cloud's front door: refused, lost on the way, answered to nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from local.chaos import calls, functions
from local.chaos.calls import Call
from local.chaos.faults import CallFault, LostAnswer, LostCall, RefusedCall
from local.chaos.lab import LAB

Answer = tuple[str, list[tuple[str, str]], bytes]


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
        raise Refusal(call, fault)
    if isinstance(fault, LostCall) or functions.dies_before(call):
        raise BrokenConnection(call.name)
    answered = answer()
    if isinstance(fault, LostAnswer) or functions.dies_after(call):
        raise BrokenConnection(call.name)
    return answered


class Refusal(Exception):
    """A service's error, in the wire format that its client reads."""

    def __init__(self, call: Call, fault: RefusedCall) -> None:
        super().__init__(f"{call.name}: {fault.error}")
        self._call, self._fault = call, fault

    @property
    def answer(self) -> Answer:
        """Status, headers and body."""
        fault = self._fault
        kind, body = _FORMATS[self._call.protocol](fault.error, fault.message)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-errortype", fault.error)]
        if self._call.protocol == "cbor":
            headers.append(("smithy-protocol", "rpc-v2-cbor"))
        return f"{fault.status} {fault.error}", headers, body


def _json(code: str, message: str) -> tuple[str, bytes]:
    return "application/json", json.dumps({"__type": code, "message": message}).encode()


def _xml(code: str, message: str) -> tuple[str, bytes]:
    return "application/xml", f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode()


def _query(code: str, message: str) -> tuple[str, bytes]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return "text/xml", f"<ErrorResponse>{error}<RequestId>none</RequestId></ErrorResponse>".encode()


def _cbor(code: str, message: str) -> tuple[str, bytes]:
    pairs = {"__type": code, "message": message}
    return "application/cbor", bytes([0xA0 | len(pairs)]) + b"".join(_text(k) + _text(v) for k, v in pairs.items())


def _text(text: str) -> bytes:
    """CBOR's text string: major type 3, its length in two bytes."""
    encoded = text.encode()
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded


_FORMATS = {"json": _json, "rest-json": _json, "xml": _xml, "query": _query, "cbor": _cbor}
