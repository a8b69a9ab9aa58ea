"""The account that the commands ask."""

from __future__ import annotations

import uuid

import pytest
from boto3.dynamodb.conditions import Attr, Key

from cli.aws import Account
from local.cloud import Cloud


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_rows_come_from_every_page(cloud: Cloud, account: Account, operation: str) -> None:
    table = f"rows-{uuid.uuid4().hex[:8]}"
    cloud.client("dynamodb").create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )  # fmt: skip
    for number in range(4):
        account.table(table).put_item(Item={"pk": "p", "sk": f"{number}", "text": "x" * 390_000, "odd": number % 2})
    asked = {"KeyConditionExpression": Key("pk").eq("p")} if operation == "query" else {}
    assert "LastEvaluatedKey" in getattr(account.table(table), operation)(**asked)
    assert [row["sk"] for row in account.rows(operation, table=table, **asked)] == ["0", "1", "2", "3"]
    odd = account.rows(operation, table=table, FilterExpression=Attr("odd").eq(1), **asked)
    assert [row["sk"] for row in odd] == ["1", "3"]
