"""One request to an API, from its address to its answer."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.apigateway.models import apigateway_backends
from moto.awslambda.models import lambda_backends
from werkzeug.wrappers import Request, Response

from local.apigateway import address, proxy
from local.apigateway.proxy import Visit
from local.apigateway.refusals import BAD_GATEWAY, Refused, refusal
from local.apigateway.release import Method, Release
from local.apigateway.usage import Usage

if TYPE_CHECKING:
    from local.cloud import Cloud

MIB = 1 << 20
BODY_LIMIT, EVENT_LIMIT = 10 * MIB, 6 * MIB
"""Bytes that API Gateway takes of a request, and Lambda of an event."""
LONGEST_SECONDS = 29.0
INVOCATION = re.compile(
    r"arn:aws:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(arn:aws:lambda:.+)/invocations"
)
TRACES = ("x-amzn-RequestId", "x-amz-apigw-id")

log = logging.getLogger(__name__)


class Gateway:
    """Answers requests to deployed REST APIs (WSGI)."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._usage = cloud, Usage()
        self._pool = ThreadPoolExecutor(64, thread_name_prefix="api-gateway")
        cloud.on_stop(lambda: self._pool.shutdown(wait=False, cancel_futures=True))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        return self._answer(Request(environ))(environ, start_response)

    @property
    def _backend(self) -> Any:
        return apigateway_backends[self._cloud.account][self._cloud.region]

    def _answer(self, request: Request) -> Response:
        api_id, stage_name, inside = address.split(request.path)
        ids = {"requestId": str(uuid.uuid4()), "apiId": api_id, "stage": stage_name}
        api = self._backend.apis.get(api_id)
        stage = api.stages.get(stage_name) if api else None
        release = self._release(api, stage) if stage else None
        if release is None or release.closed:
            return _respond({"message": "Forbidden"}, ids)
        try:
            status, headers, body = self._serve(request, release, stage, inside, ids)
        except Refused as refused:
            told = refusal(refused.kind, release.refusals, ids)
            status, headers, body = told.status, list(told.headers.items()), told.body
        return _response(status, headers, body, ids)

    def _release(self, api: Any, stage: Any) -> Release | None:
        deployment = api.deployments.get(stage.deployment_id)
        release: Release | None = getattr(deployment, "release", None)
        return release

    def _serve(
        self, request: Request, release: Release, stage: Any, inside: str, ids: Mapping[str, str]
    ) -> tuple[int, proxy.Headers, bytes]:
        if (request.content_length or 0) > BODY_LIMIT:
            raise Refused("REQUEST_TOO_LARGE")
        found = release.find(request.method, inside)
        if found is None:
            raise Refused("MISSING_AUTHENTICATION_TOKEN")
        method, parameters = found
        function = _function(method)
        key = self._admit(request, release, method, ids)
        self._usage.throttle_method(stage, method)
        named = {"accountId": self._cloud.account, "deploymentId": stage.deployment_id, "domainName": request.host}
        visit = Visit(
            request=request,
            body=request.get_data(),
            method=method,
            parameters=parameters,
            inside=inside,
            context=proxy.context(ids={**ids, **named}, request=request, method=method, inside=inside, key=key),
            variables=stage.variables,
        )
        payload = json.dumps(proxy.event(visit, release.binary)).encode()
        self._check_permission(function, ids, request.method, inside)
        answer = self._invoke(function, payload, method.integration)
        return proxy.answer(answer, request.headers.get("Accept", ""), release.binary)

    def _admit(self, request: Request, release: Release, method: Method, ids: Mapping[str, str]) -> Any:
        if not method.key_required:
            return None
        value = request.headers.get("x-api-key", "") if release.key_source == "HEADER" else ""
        return self._usage.admit(self._backend, ids["apiId"], ids["stage"], value)

    def _check_permission(self, function: str, ids: Mapping[str, str], verb: str, inside: str) -> None:
        """A function must allow API Gateway to call it for this path; without that AWS answers 500."""
        where = f"arn:aws:execute-api:{self._cloud.region}:{self._cloud.account}"
        source = f"{where}:{ids['apiId']}/{ids['stage']}/{verb}{inside}"
        statements = lambda_backends[self._cloud.account][self._cloud.region].get_function(function).policy.statements
        if not any(_allows(statement, source) for statement in statements):
            log.error("%s does not allow apigateway.amazonaws.com to call it for %s", function, source)
            raise Refused("API_CONFIGURATION_ERROR")

    def _invoke(self, function: str, payload: bytes, integration: Mapping[str, Any]) -> bytes:
        if len(payload) > EVENT_LIMIT:
            raise Refused("REQUEST_TOO_LARGE")
        call = self._pool.submit(self._cloud.client("lambda").invoke, FunctionName=function, Payload=payload)
        seconds = float(integration.get("timeoutInMillis") or LONGEST_SECONDS * 1000) / 1000
        try:
            told = call.result(timeout=seconds)
        except TookTooLong as error:
            raise Refused("INTEGRATION_TIMEOUT") from error
        except ClientError as error:
            log.warning("%s: %s", function, error)
            raise Refused("API_CONFIGURATION_ERROR") from error
        body: bytes = told["Payload"].read()
        if "FunctionError" in told:
            raise Refused(BAD_GATEWAY)
        return body


def _function(method: Method) -> str:
    """Return the ARN of the function that answers a method.

    Raises:
        NotImplementedError: for other integrations, authorisers and credentials.
    """
    kind, found = method.integration.get("type"), INVOCATION.fullmatch(method.integration.get("uri") or "")
    if kind != "AWS_PROXY" or found is None or method.integration.get("credentials"):
        raise NotImplementedError(f"{method.verb} {method.pattern}: integration {kind}; here AWS_PROXY of functions is")
    if method.authorization != "NONE":
        raise NotImplementedError(f"{method.verb} {method.pattern}: authorisation {method.authorization}; NONE is")
    return found[1]


def _allows(statement: Mapping[str, Any], source: str) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, Mapping) else principal
    conditions = statement.get("Condition") or {}
    patterns = [value for test in conditions.values() for name, value in test.items() if name == "AWS:SourceArn"]
    return (
        statement.get("Effect") == "Allow"
        and service == "apigateway.amazonaws.com"
        and all(fnmatchcase(source, str(pattern)) for pattern in patterns)
    )


def _respond(told: Mapping[str, str], ids: Mapping[str, str]) -> Response:
    """An API or a stage that is not there: the same answer as for one that is closed."""
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "ForbiddenException")]
    return _response(403, headers, json.dumps(told).encode(), ids)


def _response(status: int, headers: proxy.Headers, body: bytes, ids: Mapping[str, str]) -> Response:
    response = Response(body, status)
    response.headers.clear()
    for name, value in [*headers, *((name, ids["requestId"]) for name in TRACES), ("Content-Length", str(len(body)))]:
        response.headers.add(name, value)
    return response
