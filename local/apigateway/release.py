"""What a deployment froze: the API as it was when CreateDeployment was called. Later changes wait for the next one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ANY = "ANY"
_PARAMETER = re.compile(r"\{([^{}+]+)(\+?)\}")


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of one path, with its integration as the API describes it."""

    resource_id: str
    pattern: str
    verb: str
    key_required: bool
    authorization: str
    integration: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Release:
    """An API as deployed.

    Attributes:
        methods: all of them.
        binary: media types whose bodies are bytes.
        refusals: gateway responses that were customised, by type.
        key_source: ``HEADER`` or ``AUTHORIZER``.
        closed: whether the default endpoint is disabled.
    """

    methods: tuple[Method, ...]
    binary: frozenset[str]
    refusals: dict[str, dict[str, Any]]
    key_source: str
    closed: bool

    @classmethod
    def of(cls, api: Any) -> Release:
        """Freeze moto's API."""
        return cls(
            methods=tuple(_methods(api)),
            binary=frozenset(api.binaryMediaTypes),
            refusals={kind: copy.deepcopy(response.to_json()) for kind, response in api.gateway_responses.items()},
            key_source=api.api_key_source,
            closed=bool(api.disableExecuteApiEndpoint),
        )

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """Return the method for a path, with the path's parameters; None when there is none.

        A literal part goes before a parameter, a parameter before a greedy one, a verb before ANY.
        """
        found = []
        for method in self.methods:
            parameters = match(method.pattern, path)
            if parameters is not None and method.verb in (verb, ANY):
                found.append((_rank(method), method, parameters))
        if not found:
            return None
        _, method, parameters = min(found, key=lambda each: each[0])
        return method, parameters


def match(pattern: str, path: str) -> dict[str, str] | None:
    """Return the parameters of ``path`` if it is one of ``pattern``'s: ``/a/{b}/{rest+}``."""
    expression, end = "", 0
    for part in _PARAMETER.finditer(pattern):
        kind = ".+" if part[2] else "[^/]+"
        expression += f"{re.escape(pattern[end : part.start()])}({kind})"
        end = part.end()
    expression += re.escape(pattern[end:])
    found = re.fullmatch(expression, path if path == "/" else path.rstrip("/"), re.DOTALL)
    if found is None:
        return None
    names = [part[1] for part in _PARAMETER.finditer(pattern)]
    return dict(zip(names, found.groups(), strict=True))


def _rank(method: Method) -> tuple[Any, ...]:
    parts = method.pattern.split("/")
    return [2 if "+}" in part else 1 if "{" in part else 0 for part in parts], method.verb == ANY


def _methods(api: Any) -> Iterator[Method]:
    for resource in api.resources.values():
        for verb, method in resource.resource_methods.items():
            integration = method.method_integration
            yield Method(
                resource_id=resource.id,
                pattern=resource.get_path(),
                verb=verb,
                key_required=bool(method.api_key_required),
                authorization=method.authorization_type or "NONE",
                integration=copy.deepcopy(integration.to_json()) if integration else {},
            )
