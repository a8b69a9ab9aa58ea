"""The application: ``/ping``, ``/invocations``, ``/``, and what is asked for by settings.

The contract is SageMaker's ("Use Your Own Inference Code with Hosting
Services"): 200 on ``/ping`` once the model can answer, predictions on
``POST /invocations``. KServe's V2 routes and Prometheus' are open where the settings say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from contract.errors import nearest
from serving import v2
from serving.batching import Batcher
from serving.calls import Asked, Call, predict, refused
from serving.capture import Capture
from serving.describe import describe
from serving.errors import MethodNotAllowed, NotFound, NotReady, Refused, UnsupportedContentType, show
from serving.http import Promise, Request, Response
from serving.logs import event
from serving.metrics import Metrics
from serving.model import Model
from serving.responses import choose
from serving.settings import Settings

__all__ = ["App", "Call", "predict"]

Handler = Callable[[Request], Response | Promise]
Routes = dict[str, tuple[str, Handler]]  # by path: the method, and what answers


class App:
    """Routes requests; :meth:`serve` gives it the model once it has been loaded."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._model: Model | None = None
        self._batcher: Batcher | None = None
        self._draining = False
        self._capture: Capture | None = None
        if settings.capture_folder and settings.capture_percent:
            self._capture = Capture(settings.capture_folder, settings.capture_percent)
        self._routes: Routes = {
            "/ping": ("GET", self._ping),
            "/invocations": ("POST", self._invocations),
            "/schema": ("GET", self._schema),
            "/": ("GET", self._schema),
        }
        if "metrics" in settings.routes:
            self._routes["/metrics"] = "GET", self._prometheus
        if "v2" in settings.routes:
            self._routes[v2.PREFIX] = "GET", lambda _: _json(v2.server_metadata())
            self._routes[f"{v2.PREFIX}/health/live"] = "GET", lambda _: _json({"live": True})
            self._routes[f"{v2.PREFIX}/health/ready"] = "GET", self._health

    def serve(self, model: Model) -> None:
        """Answer with ``model`` from now on."""
        settings = self._settings
        batcher = Batcher(
            model,
            threads=settings.threads,
            queue=settings.queue,
            join=settings.join,
            observe=self.metrics.together.observe,
        )
        self.metrics.gauges["tandem_waiting_requests"] = "Requests that wait.", lambda: len(batcher)
        if capture := self._capture:
            self.metrics.gauges["tandem_captured_requests"] = "Requests kept since the start.", lambda: capture.kept
            self.metrics.gauges["tandem_capture_dropped"] = "Requests that could not be kept.", lambda: capture.dropped
        if "v2" in settings.routes:
            self._routes |= self._v2_of(settings.model_name or model.manifest.project, model)
        self._batcher, self._model = batcher, model

    def drain(self) -> None:
        """Say to health checks that the server is about to end; requests are answered all the same."""
        self._draining = True

    def close(self) -> None:
        """Let the workers finish."""
        if self._batcher:
            self._batcher.close()
        if self._capture:
            self._capture.close()

    def answer(self, request: Request) -> Response | Promise:
        """Answer one request, at once or later; never raises."""
        try:
            return self._route(request)(request)
        except Exception as error:  # the boundary: nothing may escape unanswered
            response = refused(error)
            return v2.in_v2(response) if request.path.startswith(v2.PREFIX) else response

    def embedded_metrics(self) -> dict[str, Any] | None:
        """Return the fields of the next line of embedded metrics; None when there is nothing to say."""
        if self._model is None:
            return None
        manifest = self._model.manifest
        return self.metrics.embedded({"tenant": manifest.tenant, "project": manifest.project})

    def _route(self, request: Request) -> Handler:
        if request.path not in self._routes:
            hint = nearest(request.path, self._routes)
            raise NotFound(f"{show(request.path)} is not served; try {', '.join(self._routes)}. {hint}")
        allowed, handler = self._routes[request.path]
        if request.method != allowed:
            raise MethodNotAllowed(f"{show(request.method)} is not allowed here; use {allowed}", allowed)
        return handler

    def _v2_of(self, name: str, model: Model) -> Routes:
        routes: Routes = {}
        path = f"{v2.PREFIX}/models/{name}"

        def infer(request: Request) -> Asked:
            return v2.InferCall(name, request.body)

        for start in (path, f"{path}/versions/{model.manifest.run}"):
            routes[start] = "GET", lambda _: _json(v2.model_metadata(name, model))
            routes[f"{start}/ready"] = "GET", self._health
            routes[f"{start}/infer"] = "POST", lambda request: self._predict("infer", infer, request)
        return routes

    def _loaded(self) -> Model:
        if self._model is None:
            raise NotReady("the model is still loading")
        return self._model

    def _check_ready(self) -> None:
        self._loaded()
        if self._draining:
            raise NotReady("the server is about to end")

    def _ping(self, request: Request) -> Response:
        self._check_ready()
        return Response(body=b'{"status":"ready"}')

    def _health(self, request: Request) -> Response:
        self._check_ready()
        return _json({"ready": True})

    def _schema(self, request: Request) -> Response:
        return _json(describe(self._loaded()))

    def _prometheus(self, request: Request) -> Response:
        return Response(body=self.metrics.prometheus().encode(), content_type="text/plain; version=0.0.4")

    def _invocations(self, request: Request) -> Response | Promise:
        return self._predict("invocations", _call, request)

    def _predict(self, route: str, understand: Callable[[Request], Asked], request: Request) -> Response | Promise:
        """Answer a request for predictions, and count it whatever becomes of it."""
        started = time.perf_counter()
        try:
            if self._batcher is None:
                raise NotReady("the model is still loading")
            call = understand(request)
            promise = self._batcher.submit(call)
        except Refused as error:
            self._count(route, error.status, started, 0)
            raise
        promise.then(lambda response: self._answered(route, call, response, started))
        return promise

    def _answered(self, route: str, call: Asked, response: Response, started: float) -> None:
        self._count(route, response.status, started, len(response.body))
        if self._capture and response.status == 200:
            self._capture.offer(call, response)

    def _count(self, route: str, status: int, started: float, size: int) -> None:
        seconds = time.perf_counter() - started
        self.metrics.observe(route, status, seconds)
        event("invocation", status=status, milliseconds=round(seconds * 1000, 2), bytes=size)


def _call(request: Request) -> Call:
    """Read what the headers say of the body and the answer."""
    if encoding := request.header(b"content-encoding"):
        raise UnsupportedContentType(f"Content-Encoding {show(encoding)} is not supported; send the body as it is")
    return Call(
        body=request.body,
        content_type=_media_type(request.header(b"content-type")),
        accept=choose(request.header(b"accept")),
    )


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return content_type.split(";")[0].strip().lower()


def _json(document: object) -> Response:
    return Response(body=orjson.dumps(document))
