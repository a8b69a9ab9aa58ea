"""Nothing that holds data is deleted by mistake: not with its stack, not by itself, not when it is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contract import names
from infra.app import NO_WHEELS, build
from infra.apply import templates
from tests.infra.conftest import Assembly
from tests.infra.test_apply import TARGET

HOLDING = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::ECR::Repository")


def test_what_holds_data_outlives_its_stack_and_its_replacement(assembly: Assembly) -> None:
    policies = {
        (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])
        for stack in names.STACKS
        for resource in assembly.template(stack)["Resources"].values()
        if resource["Type"] in HOLDING
    }
    assert policies == {("Retain", "Retain")}


def test_the_stacks_and_the_ledger_are_protected(assembly: Assembly) -> None:
    assert {stack.protected for stack in templates(assembly.folder, TARGET)} == {True}
    assert assembly.one("AWS::DynamoDB::Table")["DeletionProtectionEnabled"] is True


def test_every_version_of_an_object_and_every_second_of_the_ledger_can_be_had_back(assembly: Assembly) -> None:
    assert {bucket["VersioningConfiguration"]["Status"] for bucket in assembly.resources("AWS::S3::Bucket")} == {
        "Enabled"
    }
    table = assembly.one("AWS::DynamoDB::Table")
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_logs_stay_as_long_as_the_setting_says_and_the_audit_trail_for_years(assembly: Assembly) -> None:
    groups = list(assembly.resources("AWS::Logs::LogGroup"))
    (longer,) = [group for group in groups if group["RetentionInDays"] != 30]
    assert len(groups) > 20
    assert names.AUDIT_LOGS in json.dumps(longer["LogGroupName"])
    assert longer["RetentionInDays"] == 3653


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation whose data goes with it."""
    folder = tmp_path_factory.mktemp("passing")
    build(outdir=str(folder), context={**NO_WHEELS, "tandem:keep_data": "false"}, validate=False).synth()
    return folder


def test_an_installation_that_keeps_no_data_is_not_protected(passing: Path) -> None:
    assert {stack.protected for stack in templates(passing, TARGET)} == {False}
    storage = json.loads((passing / f"{names.STACK_STORAGE}.template.json").read_text())["Resources"].values()
    (table,) = (each for each in storage if each["Type"] == "AWS::DynamoDB::Table")
    assert table["Properties"]["DeletionProtectionEnabled"] is False
    assert [each for each in storage if "ObjectLockConfiguration" in each.get("Properties", {})] == []
