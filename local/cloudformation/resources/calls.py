"""API calls whose parameters come from templates.

In a template ``"5"`` may stand for 5, ``"true"`` for true and 5 for ``"5"``; the
API's own model says which is meant, and refuses what it does not know.
"""

from __future__ import annotations

from typing import Any

_NUMBERS = {"integer": int, "long": int, "float": float, "double": float}


def call(client: Any, operation: str, /, **parameters: Any) -> Any:
    """Call ``operation`` (``create_bucket``) with ``parameters`` made to fit the API's model."""
    api_name = client.meta.method_to_api_mapping[operation]
    shape = client.meta.service_model.operation_model(api_name).input_shape
    return getattr(client, operation)(**fit(shape, parameters))


def fit(shape: Any, value: Any) -> Any:
    """Return ``value`` with scalars of the types that ``shape`` wants; anything unexpected is left to be refused."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = shape.members
        return {name: fit(members[name], item) if name in members else item for name, item in value.items()}
    if kind == "list" and isinstance(value, list):
        return [fit(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {name: fit(shape.value, item) for name, item in value.items()}
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind in _NUMBERS and isinstance(value, str):
        return _NUMBERS[kind](value)
    return value
