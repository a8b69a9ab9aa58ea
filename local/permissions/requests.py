"""Which operation of which service an HTTP request asks for, with the parameters that permissions depend on."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from werkzeug.exceptions import NotFound

REST = {"s3", "lambda", "apigateway"}
"""Services, as they sign, whose operations are told by method and path; SageMaker's runtime is told apart below."""
LONGEST_BODY = 1 << 20
"""Bytes; larger bodies are data, in which no permission lies."""
_WHOLE_BODIES = {"DeleteObjects"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation of a service.

    Args:
        service: as it signs, ``states``, ``monitoring``.
        operation: ``StartExecution``; "" where the request is none that the service knows.
        params: its parameters as the API names them, bodies of data left out.
        headers: in lower case.
        body: of operations whose body has to be read as it is.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def signer(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return whose access key signed a request, and for which service; ("", "") where none did.

    An address that was signed beforehand says it in its query, S3's older ones in another way.
    """
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0]
    if not scope and "Signature=" in (query := environ.get("QUERY_STRING", "")):
        told = dict(parse_qsl(query))
        if "AWSAccessKeyId" in told:
            return told["AWSAccessKeyId"], "s3"
        scope = told.get("X-Amz-Credential", "")
    parts = scope.split("/")
    return (parts[0], parts[3]) if len(parts) > 3 else ("", "")


def read(environ: dict[str, Any], service: str) -> Call:
    """Read a request; its body can be read again afterwards."""
    if service == "sagemaker" and environ["PATH_INFO"].startswith("/endpoints/"):
        return _rest(environ, service, "sagemaker-runtime")
    if service in REST:
        return _rest(environ, service, service)
    body = _body(environ)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Call(service=service, operation=target.rpartition(".")[2], params=json.loads(body or b"{}"))
    asked = dict(parse_qsl(body.decode() or environ.get("QUERY_STRING", ""), keep_blank_values=True))
    return Call(service=service, operation=asked.pop("Action", ""), params=asked)


def _rest(environ: dict[str, Any], service: str, router: str) -> Call:
    request = MotoRequest(environ)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        operation, params = get_service_router(router).match(request)
    except NotFound:
        return Call(service=service, operation="", params={}, headers=headers)
    body = b"" if _is_data(operation) else _body(environ)
    given = json.loads(body) if body and body[:1] == b"{" and service != "s3" else {}
    return Call(
        service=service,
        operation=operation.name,
        params={**dict(request.args), **given, **{name: unquote(str(value)) for name, value in params.items()}},
        headers=headers,
        body=body,
    )


def _is_data(operation: Any) -> bool:
    """Say whether the body is a payload: an object, an event for a function, rows for a model."""
    if operation.service_model.service_name == "s3":
        return operation.name not in _WHOLE_BODIES
    return operation.input_shape is None or "payload" in operation.input_shape.serialization


def _body(environ: dict[str, Any]) -> bytes:
    """Read the body and put it back; one that is too long, or comes in chunks, is left as it is."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= LONGEST_BODY:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return gzip.decompress(body) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else body
