"""Requests of the public API that wait in an asynchronous endpoint's queue: where their answers will be."""

from __future__ import annotations

import json
import time

from contract import async_calls, ledger
from functions import table
from functions.api import Request, Response

LOOK_AGAIN = "2"
"""Seconds after which to ask for the answer again."""


def record(request: Request, endpoint: str, answer: str, failure: str, accept: str) -> None:
    """Remember a request in the ledger, for as long as its answer may be asked for.

    Args:
        request: its id names the prediction.
        endpoint: name of the endpoint in whose queue it waits.
        answer, failure: S3 addresses, of which one will hold an object.
        accept: content type of the answer.
    """
    now = int(time.time())
    row = {
        "endpoint": endpoint,
        "answer": answer,
        "failure": failure,
        "accept": accept,
        "lost": now + async_calls.WAITS_SECONDS + async_calls.WORKS_SECONDS,
        "expires": now + async_calls.KEPT_SECONDS,
    }
    table.put(ledger.prediction_key(request.tenant, request.project, request.id), row)


def pending(number: str, **headers: str) -> Response:
    """Return what is said of a request that waits."""
    body = json.dumps({"id": number, "status": "pending"}).encode()
    return Response(status=202, body=body, headers={"Retry-After": LOOK_AGAIN, **headers})
