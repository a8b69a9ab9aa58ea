"""Plain data (JSON, TOML, hyperparameters) to frozen dataclasses, strictly.

A dataclass is the schema: its field types, defaults and the limits that
:func:`setting` attaches. Anything else is refused with the path, the value,
what is allowed and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from contract.errors import InvalidConfig, nearest

T = TypeVar("T")


def setting(
    doc: str,
    *,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
    pattern: str | None = None,
    examples: Sequence[str] = (),
) -> Any:
    """Declare a dataclass field with its docstring and limits.

    Args:
        doc: what it does, for people.
        default: its value when nobody sets it; without one it is required.
        default_factory: makes that value, if it can be changed.
        minimum: smallest number, or smallest length of a list (inclusive).
        maximum: largest number, or largest length of a list (inclusive).
        choices: the only values; of a list or table, of each item.
        pattern: regular expression of the whole text; of a list or table, of each item.
        examples: texts that match; people are shown the first, and the one nearest to what they wrote.
    """
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": tuple(choices) if choices else None,
        "pattern": pattern,
        "examples": tuple(examples),
    }
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse_toml(body: bytes, path: str) -> dict[str, Any]:
    """Return a parsed TOML file.

    Raises:
        InvalidConfig: when it is none, with ``path``, the line and what is wrong with it.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidConfig(path, body[:20], "UTF-8 text", f"{error}.") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        number, line = _place(text, str(error))
        raise InvalidConfig(f"{path}, line {number}", line, "TOML", f"{error}.") from error


def _place(text: str, message: str) -> tuple[int, str]:
    """Return number and text of the line that a TOML error speaks of, which may be 'at end of document'."""
    lines, found = text.splitlines() or [""], re.search(r"at line (\d+)", message)
    number = min(int(found[1]), len(lines)) if found else len(lines)
    return number, lines[number - 1]


def parse(cls: type[T], data: Any, path: str = "") -> T:
    """Build ``cls`` from a mapping.

    Raises:
        InvalidConfig: for an unknown key, a missing one, a wrong type or a
            value out of its limits; the path in it starts with ``path``.
    """
    if not isinstance(data, Mapping):
        raise InvalidConfig(path or "(top level)", data, "a table of settings")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            allowed = "one of " + ", ".join(sorted(fields))
            raise InvalidConfig(path or "(top level)", key, allowed, nearest(str(key), fields))
    values = {}
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        if name in data:
            values[name] = check(data[name], hints[name], field.metadata, where)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise InvalidConfig(where, None, describe(hints[name], field.metadata), "It is required.")
    return cls(**values)


def check(value: Any, hint: Any, metadata: Mapping[str, Any], path: str) -> Any:
    """Return ``value`` as ``hint`` (an annotation), or raise InvalidConfig."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return parse(hint, value, path)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        if value is None:
            return None
        return check(value, next(arg for arg in args if arg is not type(None)), metadata, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or _outside(len(value), metadata):
            raise InvalidConfig(path, value, describe(hint, metadata))
        each = _of_items(metadata)
        return tuple(check(item, args[0], each, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InvalidConfig(path, value, describe(hint, metadata))
        return {str(k): check(v, args[1], metadata, f"{path}.{k}") for k, v in value.items()}
    if hint is Any:
        return value
    return _scalar(value, hint, metadata, path)


def _scalar(value: Any, hint: type, metadata: Mapping[str, Any], path: str) -> Any:
    right_type = isinstance(value, (int, float) if hint is float else hint)
    if not right_type or (isinstance(value, bool) and hint is not bool):
        raise InvalidConfig(path, value, describe(hint, metadata))
    if hint in (int, float) and (not _finite(value) or _outside(value, metadata)):
        raise InvalidConfig(path, value, describe(hint, metadata))
    choices, pattern = metadata.get("choices"), metadata.get("pattern")
    if choices and value not in choices:
        raise InvalidConfig(path, value, describe(hint, metadata), nearest(str(value), choices))
    if pattern and not re.fullmatch(pattern, value):
        raise InvalidConfig(path, value, describe(hint, metadata), nearest(value, metadata.get("examples", ())))
    return float(value) if hint is float else value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _outside(value: float, metadata: Mapping[str, Any]) -> bool:
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    return (minimum is not None and value < minimum) or (maximum is not None and value > maximum)


def _of_items(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a list's items: minimum and maximum are those of its length."""
    return {**metadata, "minimum": None, "maximum": None}


def from_strings(cls: type[T], strings: Mapping[str, str], path: str = "") -> T:
    """Build ``cls`` from SageMaker hyperparameters: every value arrives as a string.

    A value that is not JSON (``adam``) is taken as it stands.
    """
    hints = get_type_hints(cls)
    return parse(cls, {k: _from_string(v, hints.get(k)) for k, v in strings.items()}, path)


def _from_string(text: str, hint: Any) -> Any:
    if hint is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def describe(hint: Any, metadata: Mapping[str, Any]) -> str:
    """Return what a field accepts, as a phrase: ``an integer from 1 to 1000``."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return describe(next(arg for arg in args if arg is not type(None)), metadata)
    if origin is tuple:
        length = _range(metadata)
        return f"a list{length and length + ' items'}, each {describe(args[0], _of_items(metadata))}"
    if origin is dict:
        return "a table" if args[1] is Any else f"a table, each value {describe(args[1], metadata)}"
    if metadata.get("choices"):
        return "one of " + ", ".join(repr(choice) for choice in metadata["choices"])
    if metadata.get("examples"):
        return f"a string like {metadata['examples'][0]!r}"
    if metadata.get("pattern"):
        return f"a string that matches {metadata['pattern']}"
    noun = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}.get(
        hint, "a table of settings"
    )
    return noun + _range(metadata)


def _range(metadata: Mapping[str, Any]) -> str:
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    if minimum is not None and maximum is not None:
        return f" from {_number(minimum)} to {_number(maximum)}"
    if minimum is not None:
        return f" of at least {_number(minimum)}"
    if maximum is not None:
        return f" of at most {_number(maximum)}"
    return ""


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def to_dict(value: Any) -> Any:
    """Return a dataclass (or anything inside one) as JSON-ready data."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: to_dict(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value
