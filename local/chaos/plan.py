"""A plan: faults in a file.

[[fault]]
kind = "missing capacity"     # a class of local/chaos/faults.py, in words
job = "*-spot-*"

[[fault]]
kind = "refused call"
state = "Find champion"
error = "ProvisionedThroughputExceededException"
nth = 1
times = 2                     # 0: each time
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from local.chaos.faults import Fault


class BadPlan(ValueError):
    """A plan has a mistake; the text names it, what is allowed, and the nearest name."""


def kinds() -> dict[str, type[Fault]]:
    """Return every kind of fault that can be planned, by its name in words."""
    return {re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower(): kind for kind in _leaves(Fault)}


def read(text: str) -> list[Fault]:
    """Return the faults of a plan.

    Args:
        text: TOML.

    Raises:
        BadPlan: for what is no TOML, an unknown kind or field, a value of another type.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPlan(f"the plan is no TOML: {error}") from error
    _check_names("the plan", document, ["fault"])
    return [_fault(f"fault[{index}]", table) for index, table in enumerate(document.get("fault", []))]


def _fault(path: str, table: dict[str, Any]) -> Fault:
    named = kinds()
    kind = table.get("kind", "")
    _check_names(f"{path}.kind", [kind], list(named))
    fields = {field.name: field for field in dataclasses.fields(named[kind])}
    given = {name: value for name, value in table.items() if name != "kind"}
    _check_names(path, given, list(fields))
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in given]
    if missing:
        raise BadPlan(f"{path}: {', '.join(missing)} must be given with kind {kind!r}")
    for name, value in given.items():
        _check_type(f"{path}.{name}", value, str(fields[name].type))
    return named[kind](**given)


def _check_names(path: str, given: Any, allowed: list[str]) -> None:
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadPlan(f"{path}: {name!r} is not allowed; expected one of {', '.join(sorted(allowed))}{hint}")


_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def _check_type(path: str, value: Any, type_name: str) -> None:
    if not isinstance(value, _TYPES[type_name]) or (isinstance(value, bool) and type_name != "bool"):
        raise BadPlan(f"{path}: {value!r} is not allowed; expected a value of type {type_name}")


def _leaves(kind: type[Fault]) -> Iterator[type[Fault]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        yield from _leaves(each)
