"""Settings come from CDK context, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, RemovalPolicy
from aws_cdk import aws_logs as logs

from contract import names, retention
from infra import tracking
from infra.app import CDK_JSON
from infra.settings import Settings
from tests.infra.conftest import Assembly, synthesise


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


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("keep_data", ["maybe"]),
        ("log_days", [5, "week"]),
        ("monthly_usd", [-5]),
        ("trail", ["all"]),
        ("vpc", ["public", "subnet-0a1b2c3d", "sg-0a1b2c3d,subnet-0a1b2c3d", "subnet-0a1b,sg-0a1b2c3d"]),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_what_is_allowed(name: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"tandem:{name} is {value!r}; expected"):
            settings(**{name: value})


def test_a_network_may_be_a_teams_own() -> None:
    ids = "subnet-0a1b2c3d,subnet-0123456789abcdef0,sg-0a1b2c3d"
    assert settings(vpc=ids).vpc == ids


def test_a_tracking_server_that_nothing_could_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="tandem:mlflow names a server that nothing reaches"):
        settings(vpc="private", mlflow="https://tracking.example.com")


def test_cdk_json_and_the_page_of_deployment_name_every_setting() -> None:
    context = json.loads(CDK_JSON.read_text())["context"]
    named = {key.removeprefix("tandem:") for key in context if key.startswith("tandem:")}
    assert named == set(Settings.__dataclass_fields__)
    page = (CDK_JSON.parent / "docs/how-to/deploy-to-aws.md").read_text()
    assert [name for name in named if f"`tandem:{name}`" not in page] == []


def test_runs_are_tracked_only_where_a_tracker_is_wanted(tmp_path: Path, assembly: Assembly) -> None:
    assert not [each for each in assembly.resources("AWS::Lambda::Function") if "track" in each["Handler"]]
    server = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/team"
    tracked = synthesise(tmp_path, **{"tandem:mlflow": server, "tandem:tensorboard": "true"})
    (track,) = (each for each in tracked.resources("AWS::Lambda::Function") if "track" in each["Handler"])
    variables = track["Environment"]["Variables"]
    assert (variables[names.MLFLOW_SERVER], variables[names.TENSORBOARD]) == (server, names.ON)
    assert tracked.findings() == []
    policies = tracked.resources("AWS::IAM::Policy", names.STACK_PIPELINE)
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    (to_server,) = (each for each in statements if each["Resource"] == server)
    assert all(action.startswith("sagemaker-mlflow:") and "*" not in action for action in to_server["Action"])


def test_an_mlflow_app_is_called_by_its_own_action() -> None:
    assert tracking.actions("arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-1") == [
        "sagemaker:CallMlflowAppApi"
    ]


def test_kinds_of_data_are_kept_as_the_table_or_the_installation_says(tmp_path: Path, assembly: Assembly) -> None:
    assert settings(keep_days={"capture": 30}).days == settings(keep_days='{"capture": 30}').days
    assert settings(keep_days={"capture": 30}).days["capture"] == 30
    assert settings().days == {name: kind.days for name, kind in retention.KINDS.items()}
    with pytest.raises(ValueError, match=r"tandem:keep_days is .*; expected kind = days: keep_days\.captures"):
        settings(keep_days={"captures": 30})
    rules = {
        (rule["NoncurrentVersionExpiration"]["NoncurrentDays"], rule.get("ExpirationInDays"))
        for bucket in assembly.resources("AWS::S3::Bucket", names.STACK_STORAGE)
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in rule
    }
    kept = {name: retention.KINDS[name].days for name in retention.BY_RULE}
    assert {(kept["old_data"], None), (kept["old_artifacts"], None), (1, kept["access_logs"])} <= rules


def test_what_is_kept_for_good_may_not_be_deleted_by_retention(assembly: Assembly) -> None:
    policies = assembly.resources("AWS::IAM::Policy", names.STACK_PIPELINE)
    (mine,) = (each for each in policies if "Retention" in json.dumps(each["Roles"]))
    deleting = [each for each in mine["PolicyDocument"]["Statement"] if each["Action"] == "s3:DeleteObject"]
    places = json.dumps([each["Resource"] for each in deleting])
    for name, kind in retention.KINDS.items():
        assert all((f"/*/{place}*" in places) == bool(kind.days) for place in kind.below), name
