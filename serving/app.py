"""The application: ``/ping``, ``/invocations``, ``/``, and what is asked for by settings.

The contract is SageMaker's ("Use Your Own Inference Code with Hosting
Services"): 200 on ``/ping`` once the model can answer, predictions on
``POST /invocations``. KServe's V2 routes and Prometheus' are open where the settings say so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson

from contract.errors import nearest
from serving.batching import Batcher
from serving.calls import Call, predict, refused
from serving.describe import describe
from serving.errors import MethodNotAllowed, NotFound, NotReady, UnsupportedContentType, show
from serving.http import Request, Response
from serving.logs import event
from serving.model import Model
from serving.responses import choose
from serving.settings import Settings

__all__ = ["App", "Call", "predict"]

Handler = Callable[[Request], "Response | asyncio.Future[Response]"]
INVOCATIONS = "/invocations"


class App:
    """Routes requests; :meth:`serve` gives it the model once it has been loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model | None = None
        self._batcher: Batcher | None = None
        self._draining = False
        self._routes: dict[str, tuple[str, Handler]] = {
            "/ping": ("GET", self._ping),
            INVOCATIONS: ("POST", self._invocations),
            "/schema": ("GET", self._schema),
            "/": ("GET", self._schema),
        }

    def serve(self, model: Model) -> None:
        """Answer with ``model`` from now on."""
        settings = self._settings
        self._batcher = Batcher(
            model, threads=settings.threads, queue=settings.queue, join=settings.join, observe=lambda calls: None
        )
        self._model = model

    def drain(self) -> None:
        """Say to health checks that the server is about to end; requests are answered all the same."""
        self._draining = True

    def close(self) -> None:
        """Let the workers finish."""
        if self._batcher:
            self._batcher.close()

    def answer(self, request: Request) -> Response | asyncio.Future[Response]:
        """Answer one request, at once or later; never raises."""
        started = time.perf_counter()
        try:
            answer = self._route(request)(request)
        except Exception as error:  # the boundary: nothing may escape unanswered
            answer = refused(error)
        if request.path == INVOCATIONS:
            if isinstance(answer, Response):
                self._observe(answer, started)
            else:
                answer.add_done_callback(lambda future: self._answered(future, started))
        return answer

    def _answered(self, future: asyncio.Future[Response], started: float) -> None:
        if not future.cancelled():  # or the client has left
            self._observe(future.result(), started)

    def _observe(self, response: Response, started: float) -> None:
        seconds = time.perf_counter() - started
        event("invocation", status=response.status, milliseconds=round(seconds * 1000, 2), bytes=len(response.body))

    def _route(self, request: Request) -> Handler:
        if request.path not in self._routes:
            hint = nearest(request.path, self._routes)
            raise NotFound(f"{show(request.path)} is not served; try {', '.join(self._routes)}. {hint}")
        allowed, handler = self._routes[request.path]
        if request.method != allowed:
            raise MethodNotAllowed(f"{show(request.method)} is not allowed here; use {allowed}", allowed)
        return handler

    def _ready(self) -> Model:
        if self._draining:
            raise NotReady("the server is about to end")
        return self._loaded()

    def _loaded(self) -> Model:
        if self._model is None:
            raise NotReady("the model is still loading")
        return self._model

    def _ping(self, request: Request) -> Response:
        self._ready()
        return Response(body=b'{"status":"ready"}')

    def _schema(self, request: Request) -> Response:
        return Response(body=orjson.dumps(describe(self._loaded())))

    def _invocations(self, request: Request) -> asyncio.Future[Response]:
        if self._batcher is None:
            raise NotReady("the model is still loading")
        call = Call(
            body=request.body,
            content_type=request.header(b"content-type").split(";")[0].strip().lower(),
            accept=choose(request.header(b"accept")),
        )
        if encoding := request.header(b"content-encoding"):
            raise UnsupportedContentType(f"Content-Encoding {show(encoding)} is not supported; send the body as it is")
        return self._batcher.submit(call)
