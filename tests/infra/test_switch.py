"""Switch champion: two deployments cannot both win, and one whose answer was lost wins once."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.infra.test_arguments import States, evaluate, variables

__all__ = ["variables"]  # a fixture


def test_a_switch_that_is_asked_for_again_is_made_once_and_another_champion_stops_it(
    deployment_states: States, variables: dict[str, Any], cloud: Cloud
) -> None:
    template = deployment_states["Switch champion"]["Arguments"]

    def switch(seen: str, new: str) -> None:
        variables["deployment"] |= {"champion": seen, "package_arn": new}
        dynamodb.put_item(**{**evaluate(template, variables), "TableName": "switches"})

    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName="switches",
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
