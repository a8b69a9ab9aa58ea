"""``GET /v1/{tenant}/{project}/predictions/{id}``: the answer to a request that waited in an asynchronous endpoint."""

from __future__ import annotations

import re
import time
from typing import Any

from boto3.dynamodb.conditions import Attr

from contract import keys, ledger
from contract.async_calls import Failure
from functions import api, documents, predict, table, waiting
from functions.api import ApiError, Request, Response

ID = re.compile(r"[A-Za-z0-9-]{1,64}")  # as API Gateway names requests


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway."""
    return api.serve(event, look)


def look(request: Request) -> Response:
    """Return the answer, or 202 as long as there is none.

    Raises:
        ApiError: 404 for a request that nobody knows, or not any more; else why it was not answered.
    """
    number = request.parameters["id"]
    key = ledger.prediction_key(request.tenant, request.project, number)
    row = table.get(key) if ID.fullmatch(number) else None
    if row is None:
        raise ApiError(404, "NotFound", "There is no such prediction, or not any more.", path="id")
    if (answer := documents.read_bytes(*keys.parse_uri(row["answer"]))) is not None:
        return _answered(key, answer, row["accept"])
    if (failure := documents.read_bytes(*keys.parse_uri(row["failure"]))) is not None:
        raise _failed(Failure.of(failure))
    if time.time() > row["lost"] or api.champion(request)["endpoint"] != row["endpoint"]:
        raise ApiError(504, "TimedOut", "The request waited too long, or its endpoint is gone; send it again.")
    return waiting.pending(number)


def _answered(key: table.Key, body: bytes, content_type: str) -> Response:
    """Return an answer; its predictions are metered once, however often it is fetched."""
    first = table.change(key, {"fetched": True}, Attr("pk").exists() & Attr("fetched").not_exists())
    return Response(body=body, content_type=content_type, rows=predict.count(body, content_type) if first else 0)


def _failed(failure: Failure) -> ApiError:
    if failure.is_the_requests:
        return predict.refused(failure.status, failure.body)
    return ApiError(502, "ModelError", "The model failed; its log says why. Send the request again.")
