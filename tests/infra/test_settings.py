"""Settings come from CDK context, and only there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, RemovalPolicy
from aws_cdk import aws_logs as logs

from infra.app import CDK_JSON
from infra.settings import Settings


def settings(**context: Any) -> Settings:
    return Settings.from_context(App(context={f"tandem:{name}": value for name, value in context.items()}).node)


def test_without_context_data_is_kept() -> None:
    assert settings() == Settings()
    assert settings().removal_policy == RemovalPolicy.RETAIN


@pytest.mark.parametrize("value", [False, "false"])
def test_the_command_line_can_say_that_data_goes_with_its_stack(value: object) -> None:
    assert settings(keep_data=value).removal_policy == RemovalPolicy.DESTROY


def test_days_of_logs_may_be_a_number_or_its_text() -> None:
    assert settings(log_days=7).retention == settings(log_days="7").retention == logs.RetentionDays.ONE_WEEK


@pytest.mark.parametrize(("name", "value"), [("keep_data", "maybe"), ("log_days", 5), ("log_days", "week")])
def test_a_value_that_cannot_be_meant_is_refused_with_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"tandem:{name} is {value!r}; expected"):
        settings(**{name: value})


def test_cdk_json_names_every_setting() -> None:
    context = json.loads(CDK_JSON.read_text())["context"]
    named = {key.removeprefix("tandem:") for key in context if key.startswith("tandem:")}
    assert named == set(Settings.__dataclass_fields__)
