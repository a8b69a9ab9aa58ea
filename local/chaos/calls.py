"""Which operation an HTTP request asks for, and who asks."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import botocore.session

STATE, EXECUTION = "X-Tandem-State", "X-Tandem-Execution"
SANDBOX = re.compile(r"\bapp/(\S+)")
READS = ("Get", "List", "Describe", "Head", "Query", "Scan", "BatchGet", "Invoke", "Assume", "Select")
# Services whose credential scope has another name than boto3's.
_SIGNED_AS = {"states": "stepfunctions", "monitoring": "cloudwatch", "execute-api": "execute-api"}
Route = tuple[str, str, re.Pattern[str], int, frozenset[str]]  # operation, method, path, its depth, fixed query
_asking: ContextVar[tuple[str, str]] = ContextVar("asking", default=("", ""))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One API call.

    Args:
        service: boto3's name.
        action: as the API names it; "" where the request fits none.
        protocol: the service's wire format, by botocore's model, or the request's own.
        sandbox: the Lambda sandbox that asks, or "".
        state, execution: the state that asks and its execution's name, or "".
    """

    service: str
    action: str
    protocol: str
    sandbox: str = ""
    state: str = ""
    execution: str = ""

    @property
    def name(self) -> str:
        """``service:Action``."""
        return f"{self.service}:{self.action}"

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return not self.action.startswith(READS)


@contextlib.contextmanager
def asking(state: str, execution: str) -> Iterator[None]:
    """Have the calls of this thread say that a state makes them."""
    token = _asking.set((state, execution))
    try:
        yield
    finally:
        _asking.reset(token)


def say_who_asks(client: Any) -> None:
    """Have a boto3 client tell the front door which state asks."""

    def tell(params: dict[str, Any], **_: Any) -> None:
        state, execution = _asking.get()
        if state:
            params["headers"] |= {STATE: state, EXECUTION: execution}

    client.meta.events.register("before-call", tell)


def read(environ: dict[str, Any]) -> Call:
    """Return what a request (WSGI) asks for; its body can be read again afterwards."""
    service = signed_for(environ)
    service, action, protocol = _operation(environ, _SIGNED_AS.get(service, service))
    found = SANDBOX.search(environ.get("HTTP_USER_AGENT", ""))
    return Call(
        service=service,
        action=action,
        protocol=protocol,
        sandbox=found[1] if found else "",
        state=_header(environ, STATE),
        execution=_header(environ, EXECUTION),
    )


def signed_for(environ: dict[str, Any]) -> str:
    """Return the service that a request was signed for, or ""."""
    parts = environ.get("HTTP_AUTHORIZATION", "").split("Credential=")[-1].split("/")
    return parts[3] if len(parts) > 3 else ""


def _header(environ: dict[str, Any], name: str) -> str:
    value: str = environ.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value.encode("latin-1").decode("utf-8", "replace")


def _operation(environ: dict[str, Any], service: str) -> tuple[str, str, str]:
    path, kind = environ["PATH_INFO"], environ.get("CONTENT_TYPE", "")
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return service, target.rpartition(".")[2], "json"
    if "/operation/" in path:
        return service, path.rpartition("/operation/")[2], "cbor"
    if kind.startswith("application/x-www-form-urlencoded"):
        return service, parse_qs(_body(environ).decode()).get("Action", [""])[0], "query"
    if service == "sagemaker":  # what is signed for it and names no target is its data plane
        service = "sagemaker-runtime"
    protocol = "xml" if service == "s3" else "rest-json"
    return service, _by_path(service, environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", "")), protocol


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _by_path(service: str, method: str, path: str, query: str) -> str:
    """Return the REST operation whose method, path and fixed query fit best, or ""; of two, the plainer by name."""
    given = {name.partition("=")[0] for name in query.split("&")}
    fitting = [
        (len(fixed), depth, -len(action), action)
        for action, verb, pattern, depth, fixed in _routes(service)
        if verb == method and fixed <= given and pattern.fullmatch(path)
    ]
    return max(fitting)[-1] if fitting else ""


@functools.cache
def _routes(service: str) -> tuple[Route, ...]:
    try:
        model = botocore.session.get_session().get_service_model(service)
    except Exception:  # whatever was signed for, it is none that botocore knows
        return ()
    return tuple(_route(model.operation_model(name)) for name in model.operation_names)


def _route(operation: Any) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    parts = re.split(r"(\{[^}]+\})", path.rstrip("/") or "/")
    pattern = "".join(_part(part) for part in parts)
    fixed = frozenset(each.partition("=")[0] for each in query.split("&") if each) | _asked_in_query(operation)
    return operation.name, operation.http["method"], re.compile(pattern + "/?"), path.count("/") - len(parts), fixed


def _asked_in_query(operation: Any) -> set[str]:
    shape = operation.input_shape
    places = {name: shape.members[name].serialization for name in shape.required_members} if shape else {}
    return {place["name"] for place in places.values() if place.get("location") == "querystring"}


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith("+}") else "[^/]+"
