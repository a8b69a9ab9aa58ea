"""A stack's parameters: what was given, defaults, values read from SSM."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.cloudformation.errors import ValidationError


def resolve(declared: dict[str, Any], given: dict[str, str], read_ssm: Callable[[str], str]) -> dict[str, Any]:
    """Return the value of every declared parameter.

    Args:
        declared: the template's ``Parameters``.
        given: texts by name.
        read_ssm: returns the value of an SSM parameter.

    Raises:
        ValidationError: for unknown, missing or not allowed ones.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValidationError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = sorted(name for name, spec in declared.items() if name not in given and "Default" not in spec)
    if missing:
        raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
    return {
        name: _value(name, spec, str(given.get(name, spec.get("Default", ""))), read_ssm)
        for name, spec in declared.items()
    }


def _value(name: str, spec: dict[str, Any], text: str, read_ssm: Callable[[str], str]) -> Any:
    kind = spec.get("Type", "String")
    if kind.startswith("AWS::SSM::Parameter::Value"):
        text = read_ssm(text)
    _check(name, spec, text)
    if kind in ("CommaDelimitedList", "AWS::SSM::Parameter::Value<List<String>>") or kind.startswith("List<"):
        return [item.strip() for item in text.split(",")] if text else []
    return text


def _check(name: str, spec: dict[str, Any], text: str) -> None:
    allowed = [str(item) for item in spec.get("AllowedValues", [])]
    if allowed and text not in allowed:
        raise ValidationError(f"Parameter '{name}' must be one of AllowedValues: [{', '.join(allowed)}], not {text!r}")
    pattern = spec.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, text):
        raise ValidationError(f"Parameter '{name}' must match pattern {pattern}")
    if spec.get("Type") == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ValidationError(f"Parameter '{name}' must be a number")
    if "MinLength" in spec and len(text) < int(spec["MinLength"]):
        raise ValidationError(f"Parameter '{name}' must contain at least {spec['MinLength']} characters")
    if "MaxLength" in spec and len(text) > int(spec["MaxLength"]):
        raise ValidationError(f"Parameter '{name}' must contain at most {spec['MaxLength']} characters")
