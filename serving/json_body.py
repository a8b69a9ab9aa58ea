"""JSON bodies: ``{"instances": [{...}, ...]}``.

orjson refuses what JSON (RFC 8259) does not have (NaN, Infinity, numbers that
overflow, lone surrogates) and nesting deeper than 1,024. It keeps the last of
two equal keys, so those are found here.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from contract.errors import nearest
from serving.errors import Refused, show

KEY = "instances"
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def read_instances(body: bytes) -> list[dict[str, Any]]:
    """Return the objects in ``instances``, at least one.

    Raises:
        Refused: for anything else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error}") from error
    instances = _instances(document)
    members = len(document) + sum(map(len, instances))
    # Outside strings a colon follows each key: more colons than keys means that keys were lost, or are deeper down.
    if body.count(b":") > members and _STRING.sub(b"", body).count(b":") > members:
        _refuse_repeated_keys(body)
    return instances


def _instances(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        raise Refused(f'the body is {show(document)}; expected an object, {{"{KEY}": [{{...}}, ...]}}')
    for key in document:
        if key != KEY:
            raise Refused(
                f"{show(key)} is not known; expected {KEY!r} alone. {nearest(key, [KEY])}".rstrip(), show(key)
            )
    instances = document.get(KEY)
    if not isinstance(instances, list) or not instances:
        raise Refused(f"{show(instances)} is not allowed; expected a list of at least one object", KEY)
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise Refused(f"{show(instance)} is not allowed; expected an object, {{...}}", f"{KEY}[{index}]")
    return instances


def _refuse_repeated_keys(body: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Refused(f"{show(key)} is given twice in one object; give each key once", KEY)
            seen.add(key)

    try:
        json.loads(body, object_pairs_hook=unique)
    except RecursionError as error:
        raise Refused("the values are nested too deeply", KEY) from error
