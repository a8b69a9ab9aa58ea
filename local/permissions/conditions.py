"""The operators of a statement's Condition.

"IAM JSON policy elements: Condition operators" and "Set operators", IAM User Guide. An operator that is not here
fails loudly when the policy is read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case, each with its values."""

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_LITERAL = {"*": "\ue000", "?": "\ue001", "$": "\ue002"}
"""Characters that stand for themselves while a pattern is made: what fills a variable is no pattern."""
_PLAIN = {ord(mark): plain for plain, mark in _LITERAL.items()}
_MARKED = str.maketrans(_LITERAL)


def listed(value: Any) -> list[Any]:
    """Return a value of a policy, which may stand alone, as a list."""
    return list(value) if isinstance(value, list) else [value]


def fill(text: str, context: Context) -> str | None:
    """Return a pattern with its policy variables filled in; None where the request lacks one: it matches nothing."""
    if "${" not in text:
        return text
    try:
        return _VARIABLE.sub(lambda match: _variable(match[1], context), text)
    except LookupError:
        return None


def _variable(name: str, context: Context) -> str:
    if name in _LITERAL:
        return _LITERAL[name]
    key, comma, default = name.partition(",")
    values = context.get(key.strip().lower(), ())
    if len(values) != 1 and not comma:
        raise LookupError(name)
    return (values[0] if len(values) == 1 else default.strip().strip("'")).translate(_MARKED)


@lru_cache(maxsize=8192)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(each) or re.escape(each.translate(_PLAIN)) for each in pattern), re.DOTALL)


def like(pattern: str, value: str) -> bool:
    """Say whether the whole of a value matches a pattern with ``*`` and ``?``."""
    return bool(_compiled(pattern).fullmatch(value))


def like_arn(pattern: str, value: str) -> bool:
    """Say whether an ARN matches a pattern part by part: no wildcard reaches over a colon, but in the last part."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) and all(like(*pair) for pair in zip(wanted, given, strict=True))


def _time(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_network(wanted: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


Test = Callable[[str, str], bool]
_TESTS: dict[str, Test] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": like,
    "NumericEquals": lambda wanted, value: float(value) == float(wanted),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
    "DateEquals": lambda wanted, value: _time(value) == _time(wanted),
    "DateLessThan": lambda wanted, value: _time(value) < _time(wanted),
    "DateLessThanEquals": lambda wanted, value: _time(value) <= _time(wanted),
    "DateGreaterThan": lambda wanted, value: _time(value) > _time(wanted),
    "DateGreaterThanEquals": lambda wanted, value: _time(value) >= _time(wanted),
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "BinaryEquals": lambda wanted, value: wanted == value,
    "IpAddress": _in_network,
    "ArnEquals": like_arn,
    "ArnLike": like_arn,
}
_NEGATED = {
    "StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike", "NumericNotEquals": "NumericEquals", "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress", "ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike",
}  # fmt: skip
_PATTERNS = ("StringLike", "ArnEquals", "ArnLike")


def check(operator: str) -> None:
    """Refuse an operator that is not emulated.

    Raises:
        NotImplementedError: its name.
    """
    name = operator.rpartition(":")[2].removesuffix("IfExists")
    if name != "Null" and name not in _TESTS and name not in _NEGATED:
        raise NotImplementedError(f"the condition operator {operator} of a policy")


def hold(condition: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Say whether every key of every operator holds."""
    return all(
        _holds(operator, key.lower(), [str(each) for each in listed(wanted)], context)
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if name == "Null":
        return (key not in context) == (wanted[0].lower() == "true")
    negated = name.removesuffix("IfExists") in _NEGATED
    if key not in context:
        return name.endswith("IfExists") or quantifier == "ForAllValues" or (negated and not quantifier)
    name = name.removesuffix("IfExists")
    test = _TESTS[_NEGATED.get(name, name)]
    keep_pattern = _NEGATED.get(name, name) in _PATTERNS
    filled = [text for each in wanted if (text := _value(each, context, keep_pattern)) is not None]
    found = [any(test(each, value) for each in filled) != negated for value in context[key]]
    return all(found) if quantifier == "ForAllValues" or (negated and not quantifier) else any(found)


def _value(text: str, context: Context, pattern: bool) -> str | None:
    filled = fill(text, context)
    return filled if filled is None or pattern else filled.translate(_PLAIN)
