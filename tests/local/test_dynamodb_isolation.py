"""Writes to the ledger are each alone, as on AWS."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from moto.dynamodb.exceptions import TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend

from local.cloud import Cloud
from local.gaps.dynamodb_isolation import WRITES

KEY = {"AttributeName": "pk", "KeyType": "HASH"}
TABLE: dict[str, Any] = {"KeySchema": [KEY], "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}


def test_vanilla_loses_what_others_write_during_a_transaction_that_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread's write, made to come in the middle of a transaction."""
    backend = DynamoDBBackend("us-east-1", "123456789012")
    backend.create_table(
        "t", [KEY], None, TABLE["AttributeDefinitions"], None, None, None, "PAY_PER_REQUEST", None, [], False, None
    )
    there = {"TableName": "t", "Key": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_exists(pk)"}
    get = backend.get_item
    writes = {name: getattr(DynamoDBBackend, name) for name in WRITES}
    vanilla = {name: getattr(write, "__wrapped__", write) for name, write in writes.items()}

    def meanwhile(*arguments: Any) -> Any:
        vanilla["put_item"](backend, "t", {"pk": {"S": "theirs"}})
        return get(*arguments)

    monkeypatch.setattr(backend, "get_item", meanwhile)
    with pytest.raises(TransactionCanceledException):
        vanilla["transact_write_items"](backend, [{"ConditionCheck": there}])
    assert get("t", {"pk": {"S": "theirs"}}) is None


def test_racing_conditional_writes_and_transactions_lose_nothing(cloud: Cloud) -> None:
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(TableName="isolation", BillingMode="PAY_PER_REQUEST", **TABLE)
    add = {
        "TableName": "isolation", "Key": {"pk": {"S": "sum"}}, "UpdateExpression": "ADD n :one",
        "ConditionExpression": "attribute_not_exists(n) OR n < :most",
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":most": {"N": "20"}},
    }  # fmt: skip

    def write(number: int) -> bool:
        item = {"TableName": "isolation", "Item": {"pk": {"S": f"row-{number}"}}}
        try:
            dynamodb.transact_write_items(TransactItems=[{"Update": add}, {"Put": item}])
        except dynamodb.exceptions.TransactionCanceledException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(40))) == 20
    rows = dynamodb.scan(TableName="isolation")["Items"]
    assert len(rows) == 21
    assert {"pk": {"S": "sum"}, "n": {"N": "20"}} in rows
