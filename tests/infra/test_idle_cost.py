"""What the installation costs while nobody uses it, from its templates."""

from __future__ import annotations

from typing import Any

import pytest

from contract.prices import load_prices
from infra import idle_cost
from tests.infra.conftest import Assembly


def template(*kinds: str, **properties: Any) -> dict[str, Any]:
    return {"Resources": {f"R{i}": {"Type": kind, "Properties": properties} for i, kind in enumerate(kinds)}}


def test_the_readme_says_what_the_templates_cost_idle(assembly: Assembly) -> None:
    text = idle_cost.README.read_text()
    assert idle_cost.written(text, idle_cost.read(assembly.folder)) == text, "run: python -m infra.idle_cost"
    assert idle_cost.sentence(idle_cost.read(assembly.folder)) in text


def test_it_is_about_a_dollar(assembly: Assembly) -> None:
    assert 1 <= sum(idle_cost.lines(idle_cost.read(assembly.folder)).values()) < 2


def test_every_key_is_counted() -> None:
    keys = template("AWS::KMS::Key", "AWS::KMS::Key", "AWS::S3::Bucket")
    assert idle_cost.lines([keys, keys]) == {"4 AWS::KMS::Key": 4.0}


def test_a_scheduled_function_costs_its_runs_by_its_own_memory() -> None:
    target = {"Arn": {"Fn::GetAtt": ["Look", "Arn"]}}
    each_minute = template("AWS::Events::Rule", ScheduleExpression="rate(1 minute)", Targets=[target])
    each_minute["Resources"]["Look"] = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 2048}}
    prices = load_prices()
    look = 2 * idle_cost.LOOK_SECONDS * prices.lambda_gb_second + prices.fees["lambda_request"]
    assert idle_cost.lines([each_minute]) == {"43,800 runs of Look": pytest.approx(43_800 * look)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (template("AWS::EC2::NatGateway"), "AWS::EC2::NatGateway"),
        (template("AWS::Events::Rule", ScheduleExpression="cron(0 8 * * ? *)"), "cron"),
    ],
)
def test_what_nobody_knows_the_price_of_is_an_error(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        idle_cost.lines([given])
