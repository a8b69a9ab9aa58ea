"""What the handlers of the public API share: who asks, answers and errors of one shape, and what is metered.

Every error is ``{"error": {"type", "message", "path", "request_id"}}``. Logs and metrics say who asked how
much, and never what.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.exceptions import ClientError

from contract import ledger, names, sleeping
from contract.errors import InvalidConfig
from functions import table
from functions.shared import error_code, logger

MIB = 1 << 20
BODY_LIMIT = 4 * MIB
"""Bytes of a request: what a serverless endpoint takes, and, in base64, what Lambda takes."""
ANSWER_LIMIT = 6 * MIB
"""Bytes of a function's whole answer ("Lambda quotes", AWS Lambda Developer Guide)."""
KEY_SECONDS, CHAMPION_SECONDS = 60.0, 3.0
"""How old may be what is known of a key (a removed one is refused by API Gateway itself) and of a champion."""
REQUEST_ID = "x-request-id"
UNTOLD_SECONDS = 900
"""After how long to ask again, where nobody knows when a model wakes."""


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        kind: what went wrong, in one CamelCase word, for programs.
        message: the same for people, with the fix.
        path: where in the request, e.g. ``instances[3].age``; empty for the whole.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, path: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.path, self.headers = status, kind, message, path, headers or {}


def busy(message: str) -> ApiError:
    """Return the error of a model that answers as much as it can: try again in a second."""
    return ApiError(429, "TooManyRequests", message, headers={"Retry-After": "1"})


def unavailable(message: str, seconds: int) -> ApiError:
    """Return the error of a model that does not answer now, but will."""
    return ApiError(503, "ServiceUnavailable", message, headers={"Retry-After": str(seconds)})


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as API Gateway hands it over (Lambda proxy integration, version 1.0).

    Attributes:
        id: API Gateway's, which is in the answer and in every log line.
        resource: the path's pattern, such as ``/{tenant}/{project}/predict``.
        headers: by name in lower case.
        key_id: id of the API key; empty where none was asked for.
        parameters: of the path, all of them.
    """

    id: str
    resource: str
    tenant: str
    project: str
    key_id: str
    headers: Mapping[str, str]
    body: bytes
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """Read the event.

        Raises:
            ApiError: 404 for a path that can name no project.
        """
        context, parameters = event["requestContext"], event.get("pathParameters") or {}
        body = event.get("body") or ""
        return cls(
            id=context["requestId"],
            resource=event["resource"],
            tenant=_name("tenant", parameters.get("tenant")),
            project=_name("project", parameters.get("project")),
            parameters=parameters,
            key_id=context.get("identity", {}).get("apiKeyId") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
        )


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer; ``rows`` is how many predictions are in it."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0

    def to_event(self, request_id: str) -> dict[str, Any]:
        """Return what API Gateway makes an HTTP answer of."""
        try:
            body, encoded = self.body.decode(), False
        except UnicodeDecodeError:
            body, encoded = base64.b64encode(self.body).decode(), True
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": self.content_type, REQUEST_ID: request_id, **self.headers},
            "body": body,
            "isBase64Encoded": encoded,
        }


class Cache:
    """Remembers what was read for a few seconds.

    Args:
        seconds: how old an answer may be.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Any, tuple[float, Any]] = {}

    def get(self, key: Any, read: Callable[[], Any]) -> Any:
        """Return what ``read`` returned for ``key``, not long ago or now; None is not kept."""
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept and now - kept[0] < self._seconds:
            return kept[1]
        found = read()
        if found is not None:
            self._kept[key] = (now, found)
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


keys, champions = Cache(KEY_SECONDS), Cache(CHAMPION_SECONDS)


def serve(event: Mapping[str, Any], work: Callable[[Request], Response]) -> dict[str, Any]:
    """Answer a request of a consumer: check whose key it is, do ``work``, meter it."""
    started, request_id = time.monotonic(), event["requestContext"]["requestId"]
    consumer = {"tenant": "none", "consumer": "none"}
    size = 0
    try:
        request = Request.of(event)
        size = len(request.body)
        consumer = caller(request)
        check_tenant(request, consumer["tenant"])
        response = _whole(work(request))
    except ApiError as error:
        response = refusal(error, request_id)
    except Exception as error:  # the boundary: nothing may escape unanswered, nor be quoted in a log
        logger.error(
            "failed",
            extra={
                "request_id": request_id,
                "error": type(error).__name__,
                "code": error_code(error) if isinstance(error, ClientError) else "",
                "stack": traceback.format_tb(error.__traceback__),
            },
        )
        response = refusal(ApiError(500, "InternalError", "The request failed; the log says why."), request_id)
    milliseconds = round((time.monotonic() - started) * 1000)
    _meter(consumer, request_id, response, size, milliseconds)
    return response.to_event(request_id)


def caller(request: Request) -> dict[str, str]:
    """Return ``{"tenant", "consumer"}`` of the request's key.

    Raises:
        ApiError: 403 for a key that the ledger does not know.
    """
    row = keys.get(request.key_id, lambda: table.get(ledger.api_key_key(request.key_id))) if request.key_id else None
    if row is None:
        raise ApiError(403, "Forbidden", "This API key belongs to no tenant. `tandem key add` makes one that does.")
    return {"tenant": row["tenant"], "consumer": row["consumer"]}


def check_tenant(request: Request, tenant: str) -> None:
    """Check that a key asks for a project of its own tenant; nothing is told of others' projects.

    Raises:
        ApiError: 403.
    """
    if tenant != request.tenant:
        raise ApiError(403, "Forbidden", f"This API key may call the projects of {tenant!r} only.", path="tenant")


def champion(request: Request) -> dict[str, Any]:
    """Return the row of the version in service.

    Raises:
        ApiError: 404 when there is none.
    """
    where = (request.tenant, request.project)
    row: dict[str, Any] | None = champions.get(where, lambda: table.get(ledger.champion_key(*where)))
    if row is None:
        raise ApiError(404, "NotFound", f"No model of {'/'.join(where)} is in service.", path="project")
    return row


def awake(request: Request) -> dict[str, Any]:
    """Return the row of the version in service.

    Raises:
        ApiError: 404 when there is none, 503 while it sleeps.
    """
    row, now = champion(request), datetime.now(UTC)
    if row.get("asleep"):
        moment = sleeping.wakes(row, now)
        seconds = math.ceil((moment - now).total_seconds()) if moment else UNTOLD_SECONDS
        raise ApiError(503, "ModelAsleep", sleeping.told(row, now), headers={"Retry-After": str(seconds)})
    return row


def refusal(error: ApiError, request_id: str) -> Response:
    """Return the answer that an error is."""
    told = {"type": error.kind, "message": error.message, "path": error.path, "request_id": request_id}
    return Response(status=error.status, body=json.dumps({"error": told}).encode(), headers=error.headers)


def _name(path: str, value: object) -> str:
    try:
        return names.check_name(path, value)
    except InvalidConfig as error:
        raise ApiError(404, "NotFound", str(error), path=path) from error


def _whole(response: Response) -> Response:
    """Return the response.

    Raises:
        ApiError: 413 when Lambda cannot hand it over; its quotes are escaped there.
    """
    quoted = response.body.count(b'"') + response.body.count(b"\n")
    if len(response.body) + quoted > ANSWER_LIMIT - 4096:
        raise ApiError(413, "AnswerTooLarge", f"The answer has {len(response.body):,} bytes; send fewer rows at once.")
    return response


_PRINTABLE = re.compile(r"[\x20-\x7e\t]{0,1024}")


def media_header(request: Request, name: str) -> str:
    """Return a header that is handed on.

    Raises:
        ApiError: 400 for what SageMaker would not take: more than 1,024 characters, or other than ASCII.
    """
    value = request.headers.get(name, "")
    if not _PRINTABLE.fullmatch(value):
        raise ApiError(400, "InvalidInput", f"The header {name} is not allowed; expected up to 1,024 ASCII characters.")
    return value


def _meter(consumer: Mapping[str, str], request_id: str, response: Response, size: int, milliseconds: int) -> None:
    logger.info(
        "answered",
        extra={
            **consumer, "request_id": request_id, "status": response.status, "bytes": size, "rows": response.rows,
            "milliseconds": milliseconds,
        },
    )  # fmt: skip
    metrics = EphemeralMetrics(namespace=names.METRICS_NAMESPACE)
    for name, value in consumer.items():
        metrics.add_dimension(name, value)
    metrics.add_metadata("request_id", request_id)
    metrics.add_metric(names.METRIC_API_REQUESTS, MetricUnit.Count, 1)
    metrics.add_metric(names.METRIC_API_ROWS, MetricUnit.Count, response.rows)
    metrics.add_metric(names.METRIC_API_BYTES, MetricUnit.Bytes, size)
    metrics.add_metric(names.METRIC_API_ERRORS, MetricUnit.Count, int(response.status >= 400))
    metrics.flush_metrics()
