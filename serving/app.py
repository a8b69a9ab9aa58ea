"""The ASGI application: ``/ping``, ``/invocations``, ``/``.

The contract is SageMaker's ("Use Your Own Inference Code with Hosting
Services"): 200 on ``/ping`` once the model can answer, predictions on
``POST /invocations``. Decoding and inference run in worker threads, so that the
loop keeps answering pings.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson

from contract.errors import nearest
from serving.describe import describe
from serving.errors import MethodNotAllowed, NotFound, NotReady, Refused, UnsupportedContentType, show
from serving.http import Disconnected, Receive, Response, Scope, Send, failure, header, read_body, refusal
from serving.logs import event, logger
from serving.model import Model
from serving.responses import ENCODERS, choose


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request to ``/invocations``, read but not yet understood."""

    body: bytes
    content_type: str
    accept: str


class App:
    """The application; :attr:`model` is set when it has been loaded.

    Args:
        max_body: bytes that a request may have.
        threads: requests that are decoded and predicted at once.
    """

    def __init__(self, *, max_body: float, threads: int) -> None:
        self.model: Model | None = None
        self._max_body = max_body
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._routes: dict[str, tuple[str, Callable[[Scope, Receive], Awaitable[Response]]]] = {
            "/ping": ("GET", self._ping),
            "/invocations": ("POST", self._invocations),
            "/schema": ("GET", self._schema),
            "/": ("GET", self._schema),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"the server speaks HTTP only, not {scope['type']}")
        started = time.perf_counter()
        try:
            response = await self._answer(scope, receive)
        except Disconnected:
            event("client left", path=scope["path"])
            return
        if scope["path"] == "/invocations":
            milliseconds = round((time.perf_counter() - started) * 1000, 2)
            event("invocation", status=response.status, milliseconds=milliseconds, bytes=len(response.body))
        await response.send(send)

    def close(self) -> None:
        """Let the workers finish."""
        self._pool.shutdown()

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._route(scope)(scope, receive)
        except Refused as error:
            event("refused", status=error.status, type=error.type)
            return refusal(error)
        except Disconnected:
            raise
        except Exception:  # the boundary: nothing may escape unanswered
            logger.error("failed", exc_info=True)
            return failure()

    def _route(self, scope: Scope) -> Callable[[Scope, Receive], Awaitable[Response]]:
        path, method = scope["path"], scope["method"]
        if path not in self._routes:
            raise NotFound(f"{show(path)} is not served; try {', '.join(self._routes)}. {nearest(path, self._routes)}")
        allowed, handler = self._routes[path]
        if method != allowed:
            raise MethodNotAllowed(f"{show(method)} is not allowed here; use {allowed}", allowed)
        return handler

    def _loaded(self) -> Model:
        if self.model is None:
            raise NotReady("the model is still loading")
        return self.model

    async def _ping(self, scope: Scope, receive: Receive) -> Response:
        self._loaded()
        return Response(body=b'{"status":"ready"}')

    async def _schema(self, scope: Scope, receive: Receive) -> Response:
        return Response(body=orjson.dumps(describe(self._loaded())))

    async def _invocations(self, scope: Scope, receive: Receive) -> Response:
        model = self._loaded()
        call = Call(
            body=await read_body(scope, receive, self._max_body),
            content_type=header(scope, b"content-type").split(";")[0].strip().lower(),
            accept=choose(header(scope, b"accept")),
        )
        if encoding := header(scope, b"content-encoding"):
            raise UnsupportedContentType(f"Content-Encoding {show(encoding)} is not supported; send the body as it is")
        return await asyncio.get_running_loop().run_in_executor(self._pool, predict, model, call)


def predict(model: Model, call: Call) -> Response:
    """Decode, predict, encode; in a worker thread.

    Raises:
        Refused: when the request does not fit the model.
    """
    decoder = model.reader.decoders.get(call.content_type)
    if decoder is None:
        supported = ", ".join(model.reader.decoders)
        raise UnsupportedContentType(
            f"Content-Type {show(call.content_type)} is not read by this model: {supported} are"
        )
    answers = model.answers(decoder(call.body))
    event("predicted", level=logging.DEBUG, rows=len(answers), content_type=call.content_type)
    return Response(body=ENCODERS[call.accept](answers, model.manifest), content_type=call.accept)
