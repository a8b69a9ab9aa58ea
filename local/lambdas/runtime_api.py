"""The Lambda Runtime API of one sandbox.

Contract: AWS Lambda developer guide, "Using the Lambda runtime API"
(``/2018-06-01/runtime``). The runtime client asks for the ``next`` event, waits
as long as it takes, and posts a response or an error.

Each answer leaves in one write with TCP_NODELAY: split in two, every invocation
would wait 40 ms for a delayed acknowledgement.
"""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

_PREFIX = "/2018-06-01/runtime"
MAX_RESPONSE = 6 * 1024 * 1024 + 100  # bytes; AWS's limit for synchronous responses


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event on its way into the sandbox.

    Args:
        request_id: AwsRequestId.
        payload: JSON bytes.
        arn: the ARN as it was invoked, alias included.
        deadline_ms: Unix time in ms at which the function is killed.
        client_context: JSON of the caller's client context, or "".
    """

    request_id: str
    payload: bytes
    arn: str
    deadline_ms: int
    client_context: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a sandbox says.

    Args:
        kind: ``ready`` (asks for its first event), ``response``, ``error``, ``init_error`` or ``exit``.
        body: the payload of a response or an error.
        code: exit status of the process, for ``exit``.
        request_id: of the event that a response or an error is about.
    """

    kind: str
    body: bytes = b""
    code: int = 0
    request_id: str = ""


class RuntimeApi:
    """Serves one sandbox on a port of its own (the client takes no path in the address)."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name=f"runtime-api-{self.address}", daemon=True).start()

    def close(self) -> None:
        """Stop listening and let a waiting ``next`` go."""
        self.events.put(None)
        with suppress(OSError):  # some systems refuse to shut a listening socket down; close() is what counts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        with connection:
            try:
                _Handler(connection, address, self)  # type: ignore[arg-type]
            except OSError:  # the sandbox died in the middle of a request; its exit is reported elsewhere
                return


class _Handler(BaseHTTPRequestHandler):
    """Handles one connection for as long as it lives."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: headers and body leave together when the request is done
    server: RuntimeApi  # type: ignore[assignment]

    def do_GET(self) -> None:
        """Answer ``invocation/next`` when there is an event."""
        self.server.messages.put(Message(kind="ready"))
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return
        trace = f"Root=1-{event.deadline_ms // 1000:08x}-{event.request_id.replace('-', ''):.24}"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(event.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": event.arn,
            "Lambda-Runtime-Trace-Id": trace,
            "Content-Type": "application/json",
        }
        if event.client_context:
            headers["Lambda-Runtime-Client-Context"] = event.client_context
        self._answer(200, event.payload, headers)

    def do_POST(self) -> None:
        """Take a response or an error."""
        body = self._body()
        if self.path == f"{_PREFIX}/init/error":
            self.server.messages.put(Message(kind="init_error", body=body))
        else:
            request_id, _, kind = self.path.removeprefix(f"{_PREFIX}/invocation/").partition("/")
            self.server.messages.put(Message(kind=kind, body=body, request_id=request_id))
        self._answer(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: every invocation is in the function's own log."""
