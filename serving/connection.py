"""HTTP/1.1 on one connection: httptools parses, this keeps order, limits and time.

An ASGI server in its place took 85 us a request of 6 KB, this takes 27, and a small prediction itself about 60;
what a model server needs of HTTP is little. `python -m benchmarks.serve` has a peer on that server.
Reference: RFC 9112.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import httptools

from serving.errors import HeadTooLarge, Refused
from serving.http import Promise, Request, Response, refusal, too_large
from serving.logs import event

if TYPE_CHECKING:
    from serving.server import Server

MAX_HEAD = 64 * 2**10  # bytes of a request's line and headers
IDLE_SECONDS = 75.0  # longer than the 60 s after which load balancers let go of an idle connection
READ_SECONDS = 60.0  # for the whole of a request to arrive: SageMaker gives up on an answer then
LINGER_SECONDS = 2.0  # to read what a refused client still sends, or a reset would take our answer with it

Answer = Callable[[Request], Response | Promise]


class Connection(asyncio.Protocol):
    """One client; its requests are answered one after another, in their order.

    Args:
        server: whose application answers, and which keeps the set of open connections.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._waiting: deque[Request | Response] = deque()  # whole requests; an answer that ends the connection
        self._promise: Promise | None = None  # of the request that is being answered
        self._in_message = self._in_head = self._deaf = False
        self._head = 0  # bytes
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._transport: asyncio.Transport
        self._new_parser()
        self.deadline = server.time() + IDLE_SECONDS

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was asked for: nobody is there to hear it."""
        self._server.connections.discard(self)
        self._waiting.clear()
        if self._promise:
            self._promise.cancel()
            event("client left")

    def data_received(self, data: bytes) -> None:
        """Parse; whole requests are answered from the parser's callbacks below."""
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(Refused(f"this is not HTTP/1.1: {error}"))
        if self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(HeadTooLarge(f"the request line and headers have more than {MAX_HEAD // 1024} KiB"))

    def eof_received(self) -> bool:
        """Keep the connection for the answer that is still owed."""
        self._deaf = True
        return self.busy and not self._in_message

    def pause_writing(self) -> None:
        """Take no more from a client that does not read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._transport.resume_reading()

    # httptools' side

    def on_message_begin(self) -> None:
        """Start a request."""
        self._url, self._headers, self._parts, self._size = b"", {}, [], 0
        self._in_message, self._in_head, self._head = True, True, 0
        self.deadline = self._server.time() + READ_SECONDS

    def on_url(self, url: bytes) -> None:
        """Collect a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; those after a body are not looked at."""
        if not self._in_head:
            return
        name = name.lower()
        self._headers[name] = self._headers[name] + b", " + value if name in self._headers else value

    def on_headers_complete(self) -> None:
        """Refuse what declares itself too large before it is sent."""
        self._in_head = False
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._server.max_body:
            self._refuse(too_large(self._server.max_body))
        elif self._headers.get(b"expect", b"").lower() == b"100-continue" and not self.busy_answering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Collect a piece of the body."""
        if self._deaf:
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._server.max_body:
            self._refuse(too_large(self._server.max_body))

    def on_message_complete(self) -> None:
        """Answer, or wait for the turn."""
        if self._parser.should_upgrade():
            return
        self._in_message = False
        if self._deaf:
            return
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=self._url.split(b"?", 1)[0].decode("latin-1"),
            headers=self._headers,
            body=self._parts[0] if len(self._parts) == 1 else b"".join(self._parts),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._waiting.append(request)
        if self._promise:
            self._transport.pause_reading()  # a client that sends the next before it has the answer waits for its turn
        self._next()

    # ours

    @property
    def busy(self) -> bool:
        """Whether a request has begun that is not answered yet."""
        return self._in_message or self.busy_answering

    @property
    def busy_answering(self) -> bool:
        """Whether a whole request is not answered yet."""
        return bool(self._promise or self._waiting)

    def close(self) -> None:
        """Close it once what was written is sent."""
        self._transport.close()

    def _new_parser(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def _stay(self, rest: bytes) -> None:
        """Read the request as if it had not asked for another protocol, which RFC 9110 (7.8) lets us ignore.

        The parser takes its body for that protocol; Java's client, for one, asks with each first request.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            return self._refuse(Refused("this is no proxy"))
        headers = b"".join(
            b"%s: %s\r\n" % (name, value)
            for name, value in self._headers.items()
            if name not in (b"upgrade", b"connection", b"http2-settings")
        )
        self._new_parser()
        self.data_received(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, self._url, headers, rest))
        return None

    def _next(self) -> None:
        while self._waiting and not self._promise:
            turn = self._waiting.popleft()
            if isinstance(turn, Response):
                return self._last_words(turn)
            answer = self._server.answer(turn)
            if isinstance(answer, Response):
                self._write(answer, turn)
            else:
                self._promise, self._asked = answer, turn
                answer.then(self._answered)
        return None

    def _answered(self, response: Response) -> None:
        self._promise = None
        if self._transport.is_closing():
            return
        self._write(response, self._asked)
        if self._waiting:
            self._next()
            if not self.busy_answering and not self._transport.is_closing():
                self._transport.resume_reading()

    def _write(self, response: Response, request: Request) -> None:
        keep_alive = request.keep_alive and not self._server.draining and not self._deaf
        self._transport.write(response.encode(keep_alive=keep_alive, date=_date(int(time.time()))))
        if keep_alive:
            self.deadline = self._server.time() + IDLE_SECONDS
        else:
            self._waiting.clear()
            self._transport.close()

    def _refuse(self, error: Refused) -> None:
        """Answer with an error in its turn, and read no further."""
        if self._deaf:
            return
        self._deaf, self._in_message, self._in_head = True, False, False
        event("refused", status=error.status, type=error.type)
        self._waiting.append(refusal(error))
        self._next()

    def _last_words(self, response: Response) -> None:
        self._transport.write(response.encode(keep_alive=False, date=_date(int(time.time()))))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.deadline = self._server.time() + LINGER_SECONDS


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
