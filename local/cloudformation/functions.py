"""Intrinsic functions, as the CloudFormation template reference defines them."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

from local.cloudformation.errors import ResourceFailed, ValidationError

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")
NO_VALUE = object()

Attribute = Callable[[str, str], Any]


class Scope:
    """Everything that expressions of one stack can refer to.

    Args:
        template: for its mappings and conditions.
        parameters: resolved values.
        pseudo: ``AWS::Region`` and so on.
        reference: logical id -> physical id.
        attribute: (logical id, attribute) -> value.
        imported: export name -> value.
    """

    def __init__(
        self,
        *,
        template: dict[str, Any],
        parameters: dict[str, Any],
        pseudo: dict[str, Any],
        reference: Callable[[str], Any],
        attribute: Attribute,
        imported: Callable[[str], Any],
    ) -> None:
        self._mappings = template.get("Mappings", {})
        self._conditions = template.get("Conditions", {})
        self._values = {**parameters, **pseudo, "AWS::NoValue": NO_VALUE}
        self._reference, self._attribute, self._imported = reference, attribute, imported

    def resolve(self, value: Any) -> Any:
        """Return ``value`` with every function replaced; ``AWS::NoValue`` takes its key or item away."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._apply(name, argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Return whether the condition called ``name`` holds."""
        if name not in self._conditions:
            raise ValidationError(f"Template format error: Unresolved condition dependency {name}")
        return self._holds(self._conditions[name])

    def _holds(self, expression: Any) -> bool:
        if isinstance(expression, bool):
            return expression
        name, argument = next(iter(expression.items()))
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(item) for item in argument)
            return _as_text(left) == _as_text(right)
        if name == "Fn::Not":
            return not self._holds(argument[0])
        if name == "Fn::And":
            return all(self._holds(item) for item in argument)
        if name == "Fn::Or":
            return any(self._holds(item) for item in argument)
        raise ValidationError(f"Template error: {name} is not a condition function")

    def _ref(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._reference(name)

    def _apply(self, name: str, argument: Any) -> Any:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise ValidationError(f"Template error: {name} is not emulated; known are {', '.join(sorted(_FUNCTIONS))}")
        return function(self, argument)

    def _get_att(self, argument: Any) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._attribute(name, self.resolve(attribute))

    def _sub(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        values = self.resolve(own)

        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return _as_text(values[name])
            return _as_text(self._get_att(name) if "." in name else self._ref(name))

        return _SUBSTITUTION.sub(replace, text)

    def _find_in_map(self, argument: list[Any]) -> Any:
        default = argument[3].get("DefaultValue", NO_VALUE) if len(argument) > 3 else NO_VALUE
        map_name, first, second = (self.resolve(item) for item in argument[:3])
        try:
            return self.resolve(self._mappings[map_name][str(first)][str(second)])
        except KeyError:
            if default is not NO_VALUE:
                return self.resolve(default)
            raise ValidationError(f"Template error: Unable to get mapping for {map_name}::{first}::{second}") from None

    def _if(self, argument: list[Any]) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name) else otherwise)

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(_as_text(item) for item in self.resolve(argument[1]))

    def _split(self, argument: list[Any]) -> list[str]:
        return str(self.resolve(argument[1])).split(argument[0])

    def _select(self, argument: list[Any]) -> Any:
        index, items = int(self.resolve(argument[0])), self.resolve(argument[1])
        if not 0 <= index < len(items):
            raise ValidationError(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return items[index]

    def _cidr(self, argument: list[Any]) -> list[str]:
        block, count, *bits = (self.resolve(item) for item in argument)
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits[0] if bits else 8))
        return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]

    def _zones(self, argument: Any) -> list[str]:
        region = self.resolve(argument) or self._values["AWS::Region"]
        return [f"{region}{letter}" for letter in "abcdef"]


_FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Fn::GetAtt": Scope._get_att,
    "Fn::Sub": Scope._sub,
    "Fn::FindInMap": Scope._find_in_map,
    "Fn::If": Scope._if,
    "Fn::Join": Scope._join,
    "Fn::Split": Scope._split,
    "Fn::Select": Scope._select,
    "Fn::Cidr": Scope._cidr,
    "Fn::GetAZs": Scope._zones,
    "Fn::ImportValue": lambda scope, argument: scope._imported(scope.resolve(argument)),
    "Fn::Base64": lambda scope, argument: base64.b64encode(str(scope.resolve(argument)).encode()).decode(),
    "Fn::ToJsonString": lambda scope, argument: json.dumps(scope.resolve(argument)),
    "Fn::Length": lambda scope, argument: len(scope.resolve(argument)),
}


def _as_text(value: Any) -> str:
    """CloudFormation's text of a value: ``true``, not ``True``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        raise ResourceFailed(f"Template error: expected text, found {json.dumps(value)}")
    return str(value)
