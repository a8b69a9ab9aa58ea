"""EventBridge event patterns.

Contract: "Amazon EventBridge event patterns" (comparison operators). A pattern is
a tree of the event's fields; each leaf is a list of which one must match.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable
from typing import Any

from local.pattern_complexity import MOST, complexity

_MISSING = object()


class InvalidPattern(ValueError):
    """A pattern that EventBridge refuses."""


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether ``event`` (the whole envelope) matches ``pattern``."""
    return all(_field_matches(name, expected, event) for name, expected in pattern.items())


def check(pattern: Any, path: str = "") -> None:
    """Raise InvalidPattern unless ``pattern`` can be evaluated in full."""
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern(f"Event pattern is not valid. Reason: {path or 'the pattern'} must be a non-empty object")
    for name, expected in pattern.items():
        here = f"{path}.{name}" if path else name
        if isinstance(expected, dict):
            check(expected, here)
        elif not isinstance(expected, list) or not expected:
            raise InvalidPattern(f"Event pattern is not valid. Reason: {here} must be an object or a non-empty array")
        else:
            _check_leaf(name, expected, here)


def _check_leaf(name: str, expected: list[Any], path: str) -> None:
    for item in expected:
        if name == "$or":
            check(item, path)
        elif isinstance(item, dict):
            _check_operators(item, path)
    wildcards = [item["wildcard"] for item in expected if isinstance(item, dict) and "wildcard" in item]
    if wildcards and complexity(wildcards) > MOST:
        raise InvalidPattern(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a"
            f" wildcard character (at {path})"
        )


def _check_operators(item: dict[str, Any], path: str) -> None:
    for name, argument in item.items():
        if name not in _OPERATORS and name not in ("exists", "anything-but"):
            raise InvalidPattern(f"Event pattern is not valid. Reason: Unrecognized match type {name} at {path}")
        if name == "anything-but" and isinstance(argument, dict):
            _check_operators(argument, path)


def _field_matches(name: str, expected: Any, event: Any) -> bool:
    if name == "$or":
        return any(matches(alternative, event) for alternative in expected)
    actual = event.get(name, _MISSING) if isinstance(event, dict) else _MISSING
    if not isinstance(expected, dict):
        return any(_item_matches(item, actual) for item in expected)
    if isinstance(actual, list):  # an array of objects: one of them must match
        return any(matches(expected, element) for element in actual)
    return matches(expected, actual if isinstance(actual, dict) else {})


def _item_matches(item: Any, actual: Any) -> bool:
    """One element of a leaf's list against the value; an array matches when one of its elements does."""
    if isinstance(item, dict) and "exists" in item:
        return item["exists"] == (actual is not _MISSING)
    if actual is _MISSING:
        return False
    values = actual if isinstance(actual, list) else [actual]
    if isinstance(item, dict):
        return any(all(_apply(name, argument, value) for name, argument in item.items()) for value in values)
    return any(_equal(item, value) for value in values)


def _equal(expected: Any, value: Any) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    return bool(expected == value)


def _apply(name: str, argument: Any, value: Any) -> bool:
    if name == "anything-but":
        return not _is_excluded(argument, value)
    return _OPERATORS[name](argument, value)


def _is_excluded(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        return any(_apply(name, inner, value) for name, inner in argument.items())
    excluded = argument if isinstance(argument, list) else [argument]
    return any(_equal(item, value) for item in excluded)


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """A test of strings; the argument may be a list of alternatives or ask to ignore case."""

    def apply(argument: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(argument, list):
            return any(test(value, item) for item in argument)
        if isinstance(argument, dict):
            return test(value.lower(), argument["equals-ignore-case"].lower())
        return test(value, argument)

    return apply


def _wildcard(value: str, pattern: str) -> bool:
    """``*`` is any run of characters; ``\\*`` a star and ``\\\\`` a backslash."""
    parts = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", pattern)
    expression = "".join(".*" if part == "*" else re.escape(part[-1] if part[0] == "\\" else part) for part in parts)
    return re.fullmatch(expression, value, re.DOTALL) is not None


_COMPARISONS = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_COMPARISONS[sign](value, number) for sign, number in zip(argument[::2], argument[1::2], strict=True))


def _cidr(argument: str, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(argument)
    except ValueError:
        return False


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "equals-ignore-case": _text(lambda value, expected: value.lower() == expected.lower()),
    "wildcard": _text(_wildcard),
    "numeric": _numeric,
    "cidr": _cidr,
}
