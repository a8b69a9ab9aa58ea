"""What an HTTP request and its answer are here; serving.connection has the wire."""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import orjson

from serving.errors import MethodNotAllowed, Refused, TooLarge

REASONS = {status.value: status.phrase for status in http.HTTPStatus}


class Request(NamedTuple):  # made faster than a frozen dataclass
    """A whole request.

    Attributes:
        path: without the query, percent-encoded as it came.
        headers: by lower-case name; repeated ones are joined by commas.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> str:
        """Return a header by its lower-case name; empty if absent."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""


class Response(NamedTuple):
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, keep_alive: bool, date: bytes) -> bytes:
        """Return the bytes of an HTTP/1.1 message.

        Args:
            keep_alive: whether the connection stays open for the next request.
            date: now, as RFC 9110 (5.6.7) writes it.
        """
        head = _head(self.status, self.content_type, self.headers, keep_alive)
        return b"%sdate: %s\r\ncontent-length: %d\r\n\r\n%s" % (head, date, len(self.body), self.body)


class Promise:
    """A response to come. Unlike asyncio's futures it tells at once, and not in another turn of the loop."""

    def __init__(self) -> None:
        self.cancelled = False
        self._response: Response | None = None
        self._callbacks: list[Callable[[Response], None]] = []

    def then(self, callback: Callable[[Response], None]) -> None:
        """Call this with the response; never, once cancelled."""
        if self._response is None:
            self._callbacks.append(callback)
        else:
            callback(self._response)

    def cancel(self) -> None:
        """Say that nobody waits any more."""
        self.cancelled = True

    def resolve(self, response: Response) -> None:
        """Hand the response to whoever waits."""
        self._response = response
        for callback in () if self.cancelled else self._callbacks:
            callback(response)


@lru_cache(maxsize=256)
def _head(status: int, content_type: str, headers: tuple[tuple[str, str], ...], keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, '')}", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "".join(f"{line}\r\n" for line in (lines if keep_alive else [*lines, "connection: close"])).encode("latin-1")


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
