"""What JSONata templates say while only some of the variables are known, as before an execution.

A value that rests on what only an execution can tell (``$states``, a clock, a
variable that nobody knows yet) is UNKNOWN; ``and`` and ``or`` are decided by one
side where that side decides.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from jsonata import Jsonata, Utils
from jsonata.jexception import JException

OPEN, CLOSE = "{%", "%}"
ONLY_AT_RUN_TIME = frozenset({"states", "millis", "now", "random", "uuid", "parse", "hash", "partition", "range"})
"""What an execution binds itself; the last four are Step Functions' own functions, of which nothing is known here."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


class _NotKnown(JException):
    """A field was read of which nothing is known: an error of the library's own kind, which it leaves as it is."""

    def __init__(self) -> None:
        super().__init__("NotKnown")


class Partly(dict[str, Any]):
    """What is known of an object: whatever reads another field of it is UNKNOWN."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field; the library reads by this alone."""
        if key not in self:
            raise _NotKnown
        return super().get(key, default)


def fill(template: Any, known: Mapping[str, Any], unknown: frozenset[str]) -> Any:
    """Return a template with its expressions evaluated; UNKNOWN in place of each that cannot be.

    Args:
        template: any field of a state.
        known: variables and their values, as JSON data; ``states`` may be among them, as far as it is known.
        unknown: names of variables without a known value.
    """
    if isinstance(template, str) and template.startswith(OPEN) and template.endswith(CLOSE):
        return _decide(_parse(template[len(OPEN) : -len(CLOSE)].strip()), known, unknown)
    if isinstance(template, Mapping):
        return {key: fill(value, known, unknown) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, known, unknown) for value in template]
    return template


def is_known(value: Any) -> bool:
    """Whether no part of a filled template is UNKNOWN."""
    if isinstance(value, Mapping):
        return all(map(is_known, value.values()))
    return all(map(is_known, value)) if isinstance(value, list) else value is not UNKNOWN


@functools.lru_cache(maxsize=1024)
def _parse(code: str) -> Jsonata:
    parsed = Jsonata(code)
    parsed.set_output_convert_nulls(False)
    return parsed


def _decide(expression: Jsonata, known: Mapping[str, Any], unknown: frozenset[str]) -> Any:
    node = expression.ast
    if node.type == "binary" and node.value in ("and", "or"):
        decisive = node.value == "or"  # the side that alone decides
        sides = [_decide(_of(expression, side), known, unknown) for side in (node.lhs, node.rhs)]
        if any(side is not UNKNOWN and bool(side) is decisive for side in sides):
            return decisive
        return UNKNOWN if UNKNOWN in sides else not decisive
    if _names(node) & ((unknown | ONLY_AT_RUN_TIME) - known.keys()):
        return UNKNOWN
    own = copy.copy(expression)  # its timestamp is this evaluation's
    Jsonata.CURRENT.jsonata = own  # where the library looks for the expression being evaluated
    bound = {name: Utils.NULL_VALUE if value is None else value for name, value in known.items()}
    try:
        return _plain(own.evaluate(None, bound))
    except _NotKnown:
        return UNKNOWN


def _of(expression: Jsonata, node: Any) -> Jsonata:
    part = copy.copy(expression)
    part.ast = node
    return part


def _names(node: Any) -> frozenset[str]:
    """Return the names after ``$`` anywhere in a parsed expression."""
    if not hasattr(node, "names_after_dollar"):
        node.names_after_dollar = frozenset(find_names(node))
    return node.names_after_dollar


def find_names(node: Any, seen: set[int] | None = None) -> Iterator[str]:
    """Yield the names after ``$`` anywhere in a parsed expression, as often as they stand there."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, (list, tuple)):
        children = list(node)
    elif hasattr(node, "__dict__"):
        if getattr(node, "type", None) == "variable":
            yield str(node.value)
        children = [child for name, child in vars(node).items() if name != "_outer_instance"]
    else:
        return
    for child in children:
        yield from find_names(child, seen)


def _plain(value: Any) -> Any:
    """Return JSON data; what yields nothing is None, as null is."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
