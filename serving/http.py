"""The little of HTTP that the server needs, over ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from serving.errors import MethodNotAllowed, Refused, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Disconnected(Exception):
    """The client went away before its request was whole; there is nobody to answer."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def refusal(error: Refused) -> Response:
    """Return the answer to a refused request."""
    headers = ((b"allow", error.allow.encode()),) if isinstance(error, MethodNotAllowed) else ()
    return Response(body=_error(error.type, error.message, error.path), status=error.status, headers=headers)


def failure() -> Response:
    """Return the answer to a request that failed through no fault of its sender."""
    return Response(body=_error("InternalError", "the prediction failed; the endpoint's log says why", ""), status=500)


def _error(kind: str, message: str, path: str) -> bytes:
    return orjson.dumps({"error": {"type": kind, "message": message, "path": path}})


def header(scope: Scope, name: bytes) -> str:
    """Return a request header (lower-case name), joined by commas if repeated; empty if absent."""
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


async def read_body(scope: Scope, receive: Receive, limit: float) -> bytes:
    """Return the request's body.

    Raises:
        TooLarge: as soon as it is known to be longer than ``limit`` bytes.
        Disconnected: when the client leaves in the middle.
    """
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(limit: float) -> TooLarge:
    return TooLarge(f"the body is larger than {limit / 2**20:g} MiB; send fewer instances in one request")
