"""Answers operations of moto's SageMaker server with handlers of ours.

Every request is checked against AWS's model first. Operations that nobody here
answers, and that moto would only pretend to do, are refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from local.sagemaker import shapes
from local.sagemaker.errors import NotEmulated

Handler = Callable[[SageMakerModelBackend, dict[str, Any]], dict[str, Any] | None]

# What moto does as AWS does (state only, no machine behind it), so it may answer by itself.
MOTO_ANSWERS = {
    "CreateModelCard", "DescribeModelCard", "ListModelCards", "ListModelCardVersions", "UpdateModelCard",
    "DeleteModelCard",
}  # fmt: skip
_handlers: dict[str, Handler] = {}


def answer(**handlers: Handler) -> None:
    """Have each operation, named as in AWS's API, answered by its handler.

    A handler takes moto's backend (of the caller's account and region) and the
    request as AWS's JSON; it returns the response or raises an error of ``errors``.
    """
    for operation, handler in handlers.items():
        _handlers[operation] = handler
        setattr(SageMakerResponse, camelcase_to_underscores(operation), _method(handler))


def handler(operation: str) -> Handler:
    """Return what answers an operation, without the check of its request."""
    return _handlers[operation]


def check_requests() -> None:
    """Check every SageMaker request, and refuse what is not emulated."""
    setattr(SageMakerResponse, "call_action", _call_action)  # noqa: B010


def _method(handler: Handler) -> Callable[[SageMakerResponse], ActionResult]:
    def method(self: SageMakerResponse) -> ActionResult:
        return ActionResult(handler(self.sagemaker_backend, json.loads(self.body or "{}")))

    return method


def _call_action(self: SageMakerResponse) -> Any:
    operation = self._get_action()
    try:
        if operation not in _handlers and operation not in MOTO_ANSWERS:
            raise NotEmulated(f"sagemaker:{operation}")
        shapes.check("sagemaker", operation, json.loads(self.body or "{}"))
        if camelcase_to_underscores(operation) not in method_names_from_class(type(self)):
            raise NotEmulated(f"sagemaker:{operation}")
    except ServiceException as error:
        status, headers, body = self.serialized(ActionResult(error))
        headers, body = self._enrich_response({**headers, "status": str(status)}, body)
        return status, headers, body
    return BaseResponse.call_action(self)
