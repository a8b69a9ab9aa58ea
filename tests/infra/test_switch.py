"""Switch champion: two deployments cannot both win, and one whose answer was lost wins once."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.infra.test_arguments import States, evaluate, variables

__all__ = ["variables"]  # a fixture


def test_a_switch_that_is_asked_for_again_is_made_once_and_another_champion_stops_it(
    deployment_states: States, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    template = deployment_states["Switch champion"]["Arguments"]

    def switch(seen: str, new: str) -> None:
        variables["deployment"] |= {"champion": seen, "package_arn": new}
        dynamodb.put_item(**{**evaluate(template, variables), "TableName": "ledger"})

    with mock_aws():
        dynamodb = boto3.client("dynamodb", "us-east-1")
        dynamodb.create_table(
            TableName="ledger",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        for seen, new in (("", "one"), ("", "one"), ("one", "two"), ("one", "two")):
            switch(seen, new)
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            switch("one", "three")


def test_an_error_without_a_cause_is_remembered_too(deployment_states: States, variables: dict[str, Any]) -> None:
    (rule,) = deployment_states["Name challenger"]["Catch"]
    variables["states"]["errorOutput"] = {"Error": "States.Timeout"}
    assert evaluate(rule["Assign"], variables)["failure"] == {"error": "States.Timeout", "cause": ""}
