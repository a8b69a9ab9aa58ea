"""What API Gateway itself answers, instead of an integration.

"Gateway response types for API Gateway" (Amazon API Gateway Developer Guide): types, statuses, messages; a response
that is not customised is as DEFAULT_4XX or DEFAULT_5XX says, which may be customised too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULTS = {
    "ACCESS_DENIED": (403, "AccessDeniedException", "Forbidden"),
    "INTEGRATION_FAILURE": (504, "InternalServerErrorException", "Network error communicating with endpoint"),
    "INTEGRATION_TIMEOUT": (504, "InternalServerErrorException", "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "ForbiddenException", "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "QUOTA_EXCEEDED": (429, "LimitExceededException", "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "RequestTooLargeException", "Request Too Long"),
    "RESOURCE_NOT_FOUND": (404, "NotFoundException", "Not Found"),
    "THROTTLED": (429, "TooManyRequestsException", "Too Many Requests"),
    "API_CONFIGURATION_ERROR": (500, "InternalServerErrorException", "Internal server error"),
    "BAD_GATEWAY": (502, "InternalServerErrorException", "Internal server error"),
}
TEMPLATE = '{"message":$context.error.messageString}'
BAD_GATEWAY = "BAD_GATEWAY"
"""A function that failed, or answered what is no answer: it can be customised by DEFAULT_5XX only."""
_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]+)")


class Refused(Exception):
    """A request that API Gateway answers itself.

    Args:
        kind: one of DEFAULTS.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(kind: str, customised: Mapping[str, Mapping[str, Any]], context: Mapping[str, Any]) -> Refusal:
    """Return the answer to a refused request.

    Args:
        kind: one of DEFAULTS.
        customised: the API's own gateway responses.
        context: ``$context`` of the templates, nested.
    """
    status, error, message = DEFAULTS[kind]
    general = customised.get(f"DEFAULT_{status // 100}XX", {})
    own = customised.get(kind, {})
    told = {"error": {"message": message, "messageString": json.dumps(message), "responseType": kind}}
    variables = {**context, **told}
    templates = own.get("responseTemplates") or general.get("responseTemplates") or {"application/json": TEMPLATE}
    content_type, template = next(iter(templates.items()))
    parameters = own.get("responseParameters") or general.get("responseParameters") or {}
    return Refusal(
        status=int(own.get("statusCode") or general.get("statusCode") or status),
        headers={"x-amzn-ErrorType": error, "Content-Type": content_type, **_headers(parameters, variables)},
        body=_VARIABLE.sub(lambda match: str(_value(match[1], variables)), template).encode(),
    )


def _headers(parameters: Mapping[str, str], variables: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    for name, expression in parameters.items():
        if expression.startswith("'") and expression.endswith("'"):
            value = expression[1:-1]
        else:
            value = str(_value(expression.removeprefix("context."), variables))
        headers[name.removeprefix("gatewayresponse.header.")] = value
    return headers


def _value(path: str, variables: Mapping[str, Any]) -> Any:
    value: Any = variables
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, Mapping) else ""
    return value
