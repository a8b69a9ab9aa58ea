"""Arguments and results in Step Functions' form, from botocore's service models.

Arguments name every field in PascalCase, whatever the API calls it (ECR's
``repositoryName`` is ``RepositoryName``). Results come back in the same form.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from local.stepfunctions.history import dumps, iso
from local.stepfunctions.jsonata import is_expression


@lru_cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service, by boto3's name of it."""
    return botocore.session.get_session().get_service_model(service)


@lru_cache
def operation(service: str, action: str) -> OperationModel:
    """Return the model of an API action.

    Args:
        service: boto3's name of the service.
        action: the action in camelCase, as a Resource has it.

    Raises:
        ValueError: the service has no such action.
    """
    model = service_model(service)
    name = next((name for name in model.operation_names if _pascal(name) == _pascal(action)), None)
    if name is None or action[:1].isupper():
        raise ValueError(f"{service} has no action {action!r}")
    return model.operation_model(name)


def request(value: Any, shape: Shape | None) -> Any:
    """Return Arguments as boto3 takes them."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        names = _member_names(shape)
        members = shape.members
        known = [(names.get(str(key), str(key)), item) for key, item in value.items()]
        return {name: request(item, members.get(name)) for name, item in known}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [request(item, shape.member) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: request(item, shape.value) for key, item in value.items()}
    if shape is not None and shape.type_name == "blob":
        return dumps(value).encode()
    if shape is not None and shape.type_name == "string" and isinstance(value, (Mapping, list)):
        return dumps(value)
    return value


def response(value: Any, shape: Shape | None, *, millis: bool) -> Any:
    """Return what boto3 answered as Step Functions hands it on.

    Args:
        value: boto3's answer, or a part of it.
        shape: its shape.
        millis: times as epoch milliseconds, as optimised integrations have
            them, instead of ISO 8601.
    """
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {
            _pascal(str(key)): response(item, shape.members[key], millis=millis)
            for key, item in value.items()
            if key in shape.members
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [response(item, shape.member, millis=millis) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: response(item, shape.value, millis=millis) for key, item in value.items()}
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000) if millis else iso(value)
    if hasattr(value, "read"):
        value = value.read()
    return _text(value) if isinstance(value, bytes) else value


def problems(value: Any, shape: Shape | None, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, message) for each literal field of Arguments that the API does not have or misses."""
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        names = _member_names(shape)
        for key, item in value.items():
            if key not in names:
                allowed = ", ".join(sorted(names))
                yield path, f'The field "{key}" is not supported by Step Functions; expected one of {allowed}'
            else:
                yield from problems(item, shape.members[names[key]], f"{path}/{key}")
        for name in shape.required_members:
            if _pascal(name) not in value and not shape.members[name].metadata.get("idempotencyToken"):
                yield path, f'The field "{_pascal(name)}" is required but was missing'
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, shape.member, f"{path}[{index}]")
    elif isinstance(shape, MapShape) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from problems(item, shape.value, f"{path}/{key}")
    else:
        yield from _type_problem(value, shape, path)


_JSON_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "structure": ("a JSON object", (Mapping,)),
    "map": ("a JSON object", (Mapping,)),
    "list": ("an array", (list,)),
    "integer": ("an INTEGER", (int,)),
    "long": ("an INTEGER", (int,)),
    "float": ("a FLOAT", (int, float)),
    "double": ("a FLOAT", (int, float)),
    "boolean": ("a BOOLEAN", (bool,)),
    "string": ("a STRING", (str, Mapping, list)),
}


def _type_problem(value: Any, shape: Shape | None, path: str) -> Iterator[tuple[str, str]]:
    if shape is None or is_expression(value) or shape.type_name not in _JSON_TYPES:
        return
    name, types = _JSON_TYPES[shape.type_name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        yield path, f"The value for the field {path.rsplit('/', 1)[-1]!r} must be {name}, but was {json.dumps(value)}"


def _member_names(shape: StructureShape) -> dict[str, str]:
    return {_pascal(str(name)): str(name) for name in shape.members}


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
