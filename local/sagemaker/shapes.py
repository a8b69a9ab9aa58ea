"""Checks a request against AWS's own service model, with the messages AWS gives.

Required members, types, enumerations, lengths, ranges and patterns come from
botocore's model of the service, so a new field needs nothing here. Unknown
fields are refused too: AWS ignores them, and a typing mistake with them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from moto.core.utils import get_service_model

from local.sagemaker.errors import Refused

_MARKS = r"!-/:-@\[-`{-~\u00a1-\u00bf\u2000-\u2bff\u3000-\u303f\ufe00-\ufe6f\U0001f000-\U0001faff"
JAVA_TO_PYTHON = {
    r"\p{L}": r"\w",
    r"\p{Z}": r"\s",
    r"\p{N}": r"\d",
    r"\p{M}": r"\u0300-\u036f",
    r"\p{S}": _MARKS,
    r"\p{P}": _MARKS,
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{Print}": r"\x20-\x7e",
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\z": r"\Z",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",  # surrogate pairs: all beyond the basic plane
}
JSON_TYPES: dict[str, tuple[Any, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "blob": (str,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}


def check(service: str, operation: str, request: dict[str, Any]) -> None:
    """Raise Refused with every mistake of ``request`` in one message, as AWS does."""
    shape = get_service_model(service).operation_model(operation).input_shape
    if shape is None:
        return
    mistakes = list(_mistakes(shape, request, ""))
    if mistakes:
        count = f"{len(mistakes)} validation error{'s' if len(mistakes) > 1 else ''} detected: "
        raise Refused(count + "; ".join(mistakes))


@functools.cache
def pattern(text: str) -> re.Pattern[str]:
    """Return a model's Java pattern as Python's."""
    for java, python in JAVA_TO_PYTHON.items():
        text = text.replace(java, python)
    return re.compile(text.replace("${", "(?:$){"))  # Java repeats an anchor, Python only a group


def _mistakes(shape: Shape, value: Any, path: str) -> Iterator[str]:
    allowed = JSON_TYPES[shape.type_name]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be of type {shape.type_name}, not {value!r}"
    elif isinstance(shape, StructureShape):
        yield from _structure_mistakes(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _size_mistakes(shape, value, path)
        for index, item in enumerate(value):
            yield from _mistakes(shape.member, item, f"{path}.{index + 1}.member")
    elif isinstance(shape, MapShape):
        yield from _size_mistakes(shape, value, path)
        for key, item in value.items():
            yield from _mistakes(shape.key, key, f"{path}.key")
            yield from _mistakes(shape.value, item, f"{path}.{key}.member")
    else:
        yield from _scalar_mistakes(shape, value, path)


def _structure_mistakes(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield (f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null")
    for name, item in value.items():
        if name not in shape.members:
            known = ", ".join(shape.members)
            yield f"Value at '{_join(path, name)}' failed to satisfy constraint: unknown member; known are {known}"
        elif item is not None:
            yield from _mistakes(shape.members[name], item, _join(path, name))


def _size_mistakes(shape: Shape, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield f"{_at(value, path)}: Member must have length greater than or equal to {low}"
    if high is not None and len(value) > high:
        yield f"{_at(value, path)}: Member must have length less than or equal to {high}"


def _scalar_mistakes(shape: Shape, value: Any, path: str) -> Iterator[str]:
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        yield f"{_at(value, path)}: Member must satisfy enum value set: [{', '.join(enum)}]"
    if isinstance(value, str) and shape.type_name == "string":
        yield from _size_mistakes(shape, value, path)
        wanted = shape.metadata.get("pattern")
        if wanted and not pattern(wanted).fullmatch(value):
            yield f"{_at(value, path)}: Member must satisfy regular expression pattern: {wanted}"
    elif isinstance(value, int | float) and not isinstance(value, bool) and shape.type_name != "timestamp":
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if low is not None and value < low:
            yield f"{_at(value, path)}: Member must have value greater than or equal to {low}"
        if high is not None and value > high:
            yield f"{_at(value, path)}: Member must have value less than or equal to {high}"


def _at(value: Any, path: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint"


def _join(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name
