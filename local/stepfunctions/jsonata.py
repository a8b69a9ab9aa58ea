"""JSONata expressions and templates, with Step Functions' own functions.

"Transforming data with JSONata in Step Functions" (developer guide): a string
that begins with ``{%`` and ends with ``%}`` is an expression; ``$states`` and
the variables are bound to it; an expression that yields nothing fails the
state with ``States.QueryEvaluationError``. JSONata 2.0.6 plus ``$partition
$range $hash $random(seed) $uuid $parse``, less ``$eval``.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jsonata import JException, Jsonata, Utils

from functions.expressions import CLOSE, OPEN, find_names
from local.stepfunctions.errors import QUERY_EVALUATION, StateFailed

HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_LOCK = threading.RLock()  # jsonata-python keeps the expression being evaluated in a global


def is_expression(value: Any) -> bool:
    """Whether a field's value is an expression rather than a literal."""
    return isinstance(value, str) and value.startswith(OPEN) and value.endswith(CLOSE)


@lru_cache(maxsize=4096)
def parse(text: str) -> Jsonata:
    """Parse ``{% ... %}``.

    Raises:
        ValueError: it is no JSONata, or uses ``$eval`` or ``$$``.
    """
    body = text[len(OPEN) : -len(CLOSE)].strip()
    with _LOCK:
        try:
            expression = Jsonata(body)
        except JException as error:
            raise ValueError(f"{error} (character {error.location} of {body!r})") from error
    expression.set_output_convert_nulls(False)
    names = set(find_names(expression.ast))
    if "eval" in names:
        raise ValueError(f"$eval is not supported by Step Functions; use $parse, in {body!r}")
    if "$" in names:
        raise ValueError(f"$$ is not supported by Step Functions; use $states.input, in {body!r}")
    return expression


def evaluate(text: str, field: str, bindings: Mapping[str, Any]) -> Any:
    """Return what an expression yields, as plain JSON data.

    Args:
        text: ``{% ... %}``.
        field: where it stands, e.g. ``Output/total``; named in the error.
        bindings: ``states`` and the variables, as JSON data.

    Raises:
        StateFailed: ``States.QueryEvaluationError``.
    """
    body = text[len(OPEN) : -len(CLOSE)].strip()
    where = f"The JSONata expression '{body}' specified for the field '{field}'"
    try:
        result = _run(parse(text), bindings)
    except (JException, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise _failure(f"{where} threw an error during evaluation. {error}", field) from error
    if result is None:
        raise _failure(f"{where} returned nothing (undefined).", field)
    try:
        return _plain(result)
    except TypeError as error:
        raise _failure(f"{where} returned an unsupported result type.", field) from error


def fill(template: Any, field: str, bindings: Mapping[str, Any]) -> Any:
    """Return a template (Arguments, Output, Assign ...) with every expression in it evaluated."""
    if is_expression(template):
        return evaluate(template, field, bindings)
    if isinstance(template, Mapping):
        return {key: fill(value, f"{field}/{key}", bindings) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(item, f"{field}[{index}]", bindings) for index, item in enumerate(template)]
    return template


def _failure(cause: str, field: str) -> StateFailed:
    return StateFailed(QUERY_EVALUATION, cause, location=field)


def _run(expression: Jsonata, bindings: Mapping[str, Any]) -> Any:
    own = copy.copy(expression)  # its timestamp is this evaluation's
    bound = {name: _nulls(value) for name, value in bindings.items()}
    with _LOCK:
        Jsonata.CURRENT.jsonata = own
        return own.evaluate(None, {**FUNCTIONS, **bound})


def _nulls(value: Any) -> Any:
    # A top-level None would be "undefined" to jsonata-python; inside a value it knows null.
    return Utils.NULL_VALUE if value is None else value


def _plain(value: Any) -> Any:
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else _finite(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Utils.RangeList):  # its own iterator leaves out the last number
        return list(range(value.a, value.b + 1))
    if isinstance(value, list):
        return [_plain(item) for item in value]
    raise TypeError(type(value).__name__)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise TypeError("not a finite number")
    return value


def _partition(array: list[Any] | None, size: float | None) -> Any:
    if array is None:
        return None
    if size is None or int(size) < 1:
        raise ValueError("$partition expects an array and a chunk size of at least 1")
    step, items = int(size), array if isinstance(array, list) else [array]
    return [list(items[start : start + step]) for start in range(0, len(items), step)]


def _range(first: float, last: float, step: float) -> list[float]:
    if None in (first, last, step) or step == 0:
        raise ValueError("$range expects a first number, a last number and a step that is not 0")
    count = math.floor((last - first) / step) + 1
    return [first + index * step for index in range(max(0, count))]


def _hash(content: str, algorithm: str) -> str:
    if algorithm not in HASHES:
        raise ValueError(f"$hash: the algorithm {algorithm!r} is not one of {', '.join(HASHES)}")
    return hashlib.new(HASHES[algorithm], content.encode(), usedforsecurity=False).hexdigest()


def _random(seed: float | None = None) -> float:
    return random.random() if seed is None else random.Random(seed).random()


def _parse_json(text: str | None) -> Any:
    if text is None:
        return None
    return _nulls(json.loads(text))


def _function(implementation: Callable[..., Any]) -> Any:
    return Jsonata.JLambda(implementation)


FUNCTIONS = {
    "partition": _function(_partition),
    "range": _function(_range),
    "hash": _function(_hash),
    "random": _function(_random),
    "uuid": _function(lambda: str(uuid.uuid4())),
    "parse": _function(_parse_json),
}
