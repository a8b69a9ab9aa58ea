"""The HTTP server of the cloud: moto's applications, requests side by side, errors that say what happened.

moto answers an operation it lacks with a page of HTML and status 500 or 404,
which clients report as a fault of the network or as "not found". Here such an
operation answers 501 with its name, in the wire format that its client reads.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local.chaos import door
from local.permissions.denied import Denied
from local.permissions.requests import signer

log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
WsgiApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
Admit = Callable[[dict[str, Any]], None]
Hear = Callable[[dict[str, Any]], Callable[[Any, bytes], None] | None]


class Server:
    """Serves moto's applications on a port.

    Args:
        port: TCP port on the loopback interface; 0 takes a free one.
        admit: lets a request pass, or raises Denied.
        hear: takes a request, and returns what takes its good answer (headers and body) where that is recorded.
    """

    def __init__(self, port: int, admit: Admit, hear: Hear) -> None:
        self._asked, self._admit, self._hear = port, admit, hear
        self.mounts: dict[str, WsgiApplication] = {}
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is served."""
        if self._server is None:
            raise RuntimeError("the laptop cloud's server was not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Bind and serve on a thread of its own.

        Raises:
            OSError: when the port is taken, or ``localhost`` does not lead here.
        """
        _look_up_localhost()
        # Bound here, because werkzeug ends the whole program when the port is taken.
        with socket.create_server(("127.0.0.1", self._asked), backlog=128) as listener:
            self._server = make_server(
                "127.0.0.1",
                self._asked,
                Application(self.mounts, self._admit, self._hear),
                threaded=True,
                request_handler=_QuietHandler,
                fd=listener.fileno(),
            )
        self._thread = threading.Thread(target=self._server.serve_forever, name="aws-endpoint", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _look_up_localhost() -> None:
    found = {str(info[4][0]) for info in socket.getaddrinfo("localhost", None)}
    if "127.0.0.1" not in found:
        raise OSError(f"localhost is {', '.join(sorted(found))} here; add the line `127.0.0.1 localhost` to /etc/hosts")


class _QuietHandler(MotoRequestHandler):
    """moto's handler without a line a request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what matters is in the logs of functions and jobs."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        """Close the connection, which an answer that got lost leaves open."""
        self.close_connection = True


class _Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, which says when it knows no such service."""

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the service that answers ``host``."""
        backend = super().get_backend_for_host(host)
        if backend is None and host is not None:
            raise NotImplementedError("no such service")
        return backend


class Application:
    """moto's dispatcher, with errors made readable.

    Args:
        mounts: by the start of their paths, applications that answer instead.
        admit: lets a request pass, or raises Denied.
        hear: takes a request, and returns what takes its good answer.
    """

    def __init__(self, mounts: Mapping[str, WsgiApplication], admit: Admit, hear: Hear) -> None:
        self._mounts, self._admit, self._hear = mounts, admit, hear
        self._moto = _Dispatcher(create_backend_app)
        # moto answers with the items themselves, which a write beside it changes while they are read.
        self._one_at_a_time = {"dynamodb": threading.Lock()}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        answered: list[Any] = []
        try:
            self._admit(environ)
            answered_to = self._hear(environ)
            body = door.pass_through(environ, lambda: self._answered(environ, lambda *args: answered.append(args)))
        except door.BrokenConnection:
            raise
        except (Denied, door.Refusal) as refused:
            return _answer(environ, start_response, refused.status, refused.code, str(refused))
        except NotImplementedError as error:
            return _not_emulated(environ, start_response, str(error))
        except Exception as error:
            log.exception("moto failed: %s", _what(environ))
            text = f"the laptop cloud failed: {_what(environ)}: {error!r}"
            return _answer(environ, start_response, 500, "InternalFailure", text)
        status, headers, *_ = answered[-1]
        if status.startswith("404") and body.lower().startswith(b"<!doctype html"):
            return _not_emulated(environ, start_response, "no such path")
        if answered_to and status.startswith("2"):
            answered_to(headers, body)
        start_response(status, headers)
        return [body]

    def _answered(self, environ: dict[str, Any], start_response: StartResponse) -> bytes:
        with self._one_at_a_time.get(signer(environ)[1], nullcontext()):
            return b"".join(self._application(environ)(environ, start_response))

    def _application(self, environ: dict[str, Any]) -> WsgiApplication:
        path = environ["PATH_INFO"]
        return next((application for start, application in self._mounts.items() if path.startswith(start)), self._moto)


def _what(environ: dict[str, Any]) -> str:
    """The operation in words: service and target, or method and path."""
    target = environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
    operation = target or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    return f"{signer(environ)[1] or 'unsigned'} {operation}"


def _not_emulated(environ: dict[str, Any], start_response: StartResponse, reason: str) -> list[bytes]:
    text = f"not emulated by the laptop cloud: {_what(environ)}: {reason}"
    log.error("%s", text)
    return _answer(environ, start_response, 501, "NotImplemented", text)


def _answer(
    environ: dict[str, Any], start_response: StartResponse, status: int, code: str, message: str
) -> list[bytes]:
    kind = environ.get("CONTENT_TYPE", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        error = f"<Error><Type>Receiver</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        body, content = f"<ErrorResponse>{error}<RequestId>none</RequestId></ErrorResponse>", "text/xml"
    elif signer(environ)[1] in ("s3", "route53", "cloudfront"):
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        content = "application/xml"
    else:
        body, content = json.dumps({"__type": code, "message": message}), "application/json"
    encoded = body.encode()
    reason = HTTPStatus(status).phrase
    headers = [("Content-Type", content), ("Content-Length", str(len(encoded))), ("x-amzn-errortype", code)]
    start_response(f"{status} {reason}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [encoded]
