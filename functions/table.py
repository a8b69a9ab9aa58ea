"""Reads and conditional writes of the ledger, in plain Python values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from contract import names
from functions.shared import client, environment, error_code

Key = dict[str, str]


def get(key: Key) -> dict[str, Any] | None:
    """Return a row as it is now (strongly consistent), or None."""
    response = client("dynamodb").get_item(TableName=_table(), Key=_typed(key), ConsistentRead=True)
    return _plain(response["Item"]) if response.get("Item") else None


def scan(index: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a sparse index, as they were a moment ago."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=_table(), IndexName=index)
    yield from (_plain(item) for page in pages for item in page["Items"])


def add(key: Key, values: Mapping[str, Any]) -> bool:
    """Write a new row; return False, changing nothing, when there is one already."""
    return _conditionally(
        client("dynamodb").put_item, Item=_typed({**values, **key}), ConditionExpression="attribute_not_exists(pk)"
    )


def put(key: Key, values: Mapping[str, Any]) -> None:
    """Write a row over whatever is there."""
    client("dynamodb").put_item(TableName=_table(), Item=_typed({**values, **key}))


def change(key: Key, values: Mapping[str, Any], only_if: ConditionBase) -> bool:
    """Set attributes of a row, and remove those that are None.

    Returns:
        False, with nothing changed, when ``only_if`` does not hold.
    """
    condition = ConditionExpressionBuilder().build_expression(only_if)
    places = {name: f"s{i}" for i, name in enumerate(values)}
    kept = [f"#{place} = :{place}" for name, place in places.items() if values[name] is not None]
    gone = [f"#{place}" for name, place in places.items() if values[name] is None]
    update = [f"{word} {', '.join(found)}" for word, found in (("SET", kept), ("REMOVE", gone)) if found]
    attributes = {f"#{place}": name for name, place in places.items()} | condition.attribute_name_placeholders
    typed = {f":{place}": values[name] for name, place in places.items()} | condition.attribute_value_placeholders
    return _conditionally(
        client("dynamodb").update_item,
        Key=_typed(key),
        UpdateExpression=" ".join(update),
        ConditionExpression=condition.condition_expression,
        ExpressionAttributeNames=attributes,
        ExpressionAttributeValues=_typed(typed),
    )


def transact(*writes: Mapping[str, Any]) -> list[str]:
    """Do all writes or none; return why not, a code for each (``None`` for those that could be), or an empty list.

    Args:
        writes: items of TransactWriteItems without their table, such as ``{"Put": {"Item": ..., ...}}``; keys, items
            and values in plain Python.
    """
    items = [{kind: _in_table(write) for kind, write in each.items()} for each in writes]
    try:
        client("dynamodb").transact_write_items(TransactItems=items)
    except ClientError as error:
        if error_code(error) != "TransactionCanceledException":
            raise
        return [reason.get("Code", "None") for reason in error.response["CancellationReasons"]]
    return []


def _in_table(write: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: _typed(write[name]) for name in ("Key", "Item", "ExpressionAttributeValues") if name in write}
    return {"TableName": _table(), **write, **typed}


def _conditionally(write: Any, **arguments: Any) -> bool:
    try:
        write(TableName=_table(), **arguments)
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _table() -> str:
    return environment(names.LEDGER_TABLE)


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(_exact(value)) for name, value in values.items() if value is not None}


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, (list, tuple)):
        return [_exact(item) for item in value]
    return value


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return _plain_values({name: deserialize(value) for name, value in item.items()})


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain_values(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
