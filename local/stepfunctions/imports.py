"""Executions of another account, brought here by their histories: ``POST <endpoint>/_aws/executions``.

The laptop cloud's own addition, for ``tandem replay``; AWS has no such call. An
execution that failed elsewhere is listed and described here as one that failed
here, with its history, and RedriveExecution goes on with it: through the
definition that the machine has here, so that a mended one can be tried.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from moto.core.exceptions import AWSError, JsonRESTError
from moto.stepfunctions import models

from contract import histories

if TYPE_CHECKING:
    from local.cloud import Cloud
    from local.server import StartResponse
    from local.stepfunctions.backend import LaptopStepFunctions


class Imports:
    """Answers ``{"stateMachineArn", "name", "events"}`` with ``{"executionArn"}``, or ``{"message"}`` and status 400.

    Args:
        cloud: where.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        try:
            asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            status, answer = "200 OK", {"executionArn": self._take(asked)}
        except (histories.NoPlaceToGoOn, AWSError, JsonRESTError, KeyError, ValueError) as error:
            status, answer = "400 Bad Request", {"message": str(getattr(error, "message", error))}
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _take(self, asked: Mapping[str, Any]) -> str:
        backend = models.stepfunctions_backends[self._cloud.account][self._cloud.region]
        events = [{**event, "timestamp": _moment(event["timestamp"])} for event in asked["events"]]
        laptop = cast("LaptopStepFunctions", backend)
        return laptop.import_execution(asked["stateMachineArn"], asked["name"], events).execution_arn


def _moment(given: Any) -> datetime.datetime:
    """Return a time that the AWS CLI printed, as ISO 8601 or in seconds since 1970."""
    if isinstance(given, (int, float)):
        return datetime.datetime.fromtimestamp(given, datetime.UTC)
    return datetime.datetime.fromisoformat(given)
