"""Lambda proxy integration: a request becomes a function's event, and what it returns an HTTP answer.

"Lambda proxy integrations in API Gateway" (Amazon API Gateway Developer Guide), payload version 1.0.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request

from local.apigateway.refusals import BAD_GATEWAY, Refused
from local.apigateway.release import Method

Headers = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request on its way.

    Attributes:
        request: as HTTP has it.
        body: of the request.
        method, parameters: what answers it, and the path's parameters.
        inside: the path within the stage.
        context: ``requestContext``.
        variables: the stage's.
    """

    request: Request
    body: bytes
    method: Method
    parameters: Mapping[str, str]
    inside: str
    context: Mapping[str, Any]
    variables: Mapping[str, str]


def event(visit: Visit, binary: Iterable[str]) -> dict[str, Any]:
    """Return the function's event."""
    headers = {**{name: [value] for name, value in visit.request.headers.items()}, **_forwarded(visit)}
    query: dict[str, list[str]] = dict(visit.request.args.lists())
    encoded = is_binary(visit.request.content_type or "application/json", binary)
    body = base64.b64encode(visit.body).decode() if encoded else visit.body.decode(errors="replace")
    return {
        "resource": visit.method.pattern,
        "path": visit.inside,
        "httpMethod": visit.request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(visit.parameters) or None,
        "stageVariables": dict(visit.variables) or None,
        "requestContext": dict(visit.context),
        "body": body if visit.body else None,
        "isBase64Encoded": encoded and bool(visit.body),
    }


def context(*, ids: Mapping[str, str], request: Request, method: Method, inside: str, key: Any) -> dict[str, Any]:
    """Return ``requestContext``; ``ids`` are accountId, apiId, deploymentId, stage, requestId, domainName."""
    now = datetime.datetime.now(datetime.UTC)
    identity = dict.fromkeys(
        ("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
         "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn")
    )  # fmt: skip
    known = {"apiKey": key.value, "apiKeyId": key.id} if key else {"apiKey": None, "apiKeyId": None}
    return {
        **ids,
        "resourceId": method.resource_id,
        "resourcePath": method.pattern,
        "httpMethod": request.method,
        "path": f"/{ids['stage']}{inside}",
        "protocol": "HTTP/1.1",
        "extendedRequestId": ids["requestId"][:12],
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "domainPrefix": ids["apiId"],
        "identity": {
            **identity,
            **known,
            "sourceIp": request.remote_addr,
            "userAgent": request.headers.get("User-Agent"),
        },
    }


def answer(payload: bytes, accept: str, binary: Iterable[str]) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of what a function returned.

    Raises:
        Refused: for what is no answer: API Gateway says 502.
    """
    try:
        told = json.loads(payload)
        status, body = int(told.get("statusCode", 200)), told.get("body")
        single, several = told.get("headers") or {}, told.get("multiValueHeaders") or {}
        headers = [(name, _text(value)) for name, value in single.items() if name not in several]
        headers += [(name, _text(value)) for name, values in several.items() for value in values]
        if set(told) - ANSWER or not isinstance(body, str | None):
            raise Refused(BAD_GATEWAY)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(BAD_GATEWAY) from error
    names = {name.lower(): value for name, value in headers}
    if "content-type" not in names:
        headers.append(("Content-Type", "application/json"))
    wanted = accept.split(",")[0].split(";")[0].strip() or names.get("content-type", "")
    if told.get("isBase64Encoded") and is_binary(wanted, binary):
        return status, headers, _decoded(body or "")
    return status, headers, (body or "").encode()


ANSWER = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}


def is_binary(media: str, binary: Iterable[str]) -> bool:
    """Say whether a media type is among an API's binary ones."""
    kind = media.split(";")[0].strip().lower()
    return any(each in ("*/*", kind) for each in binary)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refused(BAD_GATEWAY) from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(value)


def _forwarded(visit: Visit) -> dict[str, list[str]]:
    return {
        "X-Amzn-Trace-Id": [f"Root=1-{int(visit.context['requestTimeEpoch']) // 1000:08x}-{'0' * 24}"],
        "X-Forwarded-For": [str(visit.request.remote_addr)],
        "X-Forwarded-Port": [visit.request.host.rpartition(":")[2]],
        "X-Forwarded-Proto": [visit.request.scheme],
    }
