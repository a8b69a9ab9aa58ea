"""One event of a Lambda function: a request to ``/invocations``, answered by the same code as over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.lambda_calls import Answered, Asked
from serving.calls import Call, predict
from serving.errors import Refused
from serving.http import Response, refusal
from serving.logs import event as log
from serving.logs import logger
from serving.model import Model
from serving.responses import choose


class PredictionFailed(Exception):
    """The model failed, through no fault of the request; Lambda counts it among the function's errors."""


def answer(model: Model, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to an event (contract.lambda_calls); a request that does not fit is answered 4xx.

    Raises:
        PredictionFailed: when the model fails. The text of the true error may quote the request, so it is not told.
    """
    try:
        response = predict(model, _call(event))
    except Refused as error:
        log("refused", status=error.status, type=error.type)
        response = refusal(error)
    except Exception as error:
        logger.error("failed", exc_info=error)
        raise PredictionFailed("the prediction failed; the function's log says why") from None
    return _answered(response).to_result()


def _call(event: Mapping[str, Any]) -> Call:
    try:
        asked = Asked.from_event(event)
    except ValueError as error:
        raise Refused(f"the event is no request: {error}") from error
    content_type = asked.content_type.split(";")[0].strip().lower()
    return Call(body=asked.body, content_type=content_type, accept=choose(asked.accept))


def _answered(response: Response) -> Answered:
    return Answered(status=response.status, content_type=response.content_type, body=response.body)
