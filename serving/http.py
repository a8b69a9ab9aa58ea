"""What an HTTP request and its answer are here; serving.connection has the wire."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from serving.errors import MethodNotAllowed, Refused, TooLarge

REASONS = {status.value: status.phrase for status in http.HTTPStatus}


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A whole request.

    Attributes:
        path: without the query, percent-encoded as it came.
        headers: by lower-case name; repeated ones are joined by commas.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True

    def header(self, name: bytes) -> str:
        """Return a header by its lower-case name; empty if absent."""
        return self.headers[name].decode("latin-1") if name in self.headers else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, keep_alive: bool, date: str) -> bytes:
        """Return the bytes of an HTTP/1.1 message.

        Args:
            keep_alive: whether the connection stays open for the next request.
            date: now, as RFC 9110 (5.6.7) writes it.
        """
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        if not keep_alive:
            more += "connection: close\r\n"
        return (
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}\r\ndate: {date}\r\n"
            f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n{more}\r\n"
        ).encode("latin-1") + self.body

    def with_header(self, name: str, value: str) -> Response:
        """Return the same answer with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))


def refusal(error: Refused) -> Response:
    """Return the answer to a refused request."""
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, MethodNotAllowed):
        headers = (("allow", error.allow),)
    if error.retry_after:
        headers = (("retry-after", str(error.retry_after)),)
    return Response(body=_error(error.type, error.message, error.path), status=error.status, headers=headers)


def failure() -> Response:
    """Return the answer to a request that failed through no fault of its sender."""
    return Response(body=_error("InternalError", "the prediction failed; the endpoint's log says why", ""), status=500)


def too_large(limit: float) -> TooLarge:
    """Return the refusal of a body of more than ``limit`` bytes."""
    return TooLarge(f"the body is larger than {limit / 2**20:g} MiB; send fewer instances in one request")


def _error(kind: str, message: str, path: str) -> bytes:
    document = {"error": {"type": kind, "message": message, "path": path}}
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # a lone surrogate, from a value that is quoted
        return json.dumps(document).encode()
