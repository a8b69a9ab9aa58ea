"""What an invocation came to: the handler's answer, or Lambda's own words for what went wrong."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from datetime import UTC, datetime

from local.lambdas.runtime_api import MAX_RESPONSE, Message


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an invocation came to.

    Args:
        payload: the handler's JSON, or the error's.
        error: ``Unhandled`` or "" (Lambda's FunctionError).
        version: the version that ran.
        log_tail: the last 4 KiB of its log.
    """

    payload: bytes
    error: str
    version: str
    log_tail: bytes


def judge(message: Message, request_id: str, timeout_s: int) -> tuple[bytes, str, str]:
    """Return (payload, FunctionError, a line for the log) for what a sandbox said, or had said for it."""
    if message.kind == "response" and len(message.body) <= MAX_RESPONSE:
        return message.body, "", ""
    if message.kind in ("error", "init_error"):
        return message.body, "Unhandled", ""
    if message.kind == "response":
        return _too_large(len(message.body))
    if message.kind == "timeout":
        return _timed_out(request_id, timeout_s)
    return _exited(request_id, message.code)


def _too_large(size: int) -> tuple[bytes, str, str]:
    text = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
    return _error("Function.ResponseSizeTooLarge", text), "Unhandled", text


def _timed_out(request_id: str, timeout_s: int) -> tuple[bytes, str, str]:
    text = f"{request_id} Task timed out after {timeout_s:.2f} seconds"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return _error("Sandbox.Timedout", f"{stamp}Z {text}"), "Unhandled", f"{stamp}Z {text}"


def _exited(request_id: str, code: int) -> tuple[bytes, str, str]:
    how = f"signal: {_signal_name(-code)}" if code < 0 else f"exit status {code}"
    text = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
    return _error("Runtime.ExitError", text), "Unhandled", f"{text}\nRuntime.ExitError"


def _error(kind: str, text: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": text}).encode()


def _signal_name(number: int) -> str:
    """Go's words for signals, which Lambda prints."""
    words = {signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation fault", signal.SIGTERM: "terminated"}
    return words.get(number, f"signal {number}")  # type: ignore[call-overload]
