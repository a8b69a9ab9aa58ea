"""Stages of versions in the registry follow the champion's row."""

from __future__ import annotations

from typing import Any

import pytest

from contract import ledger, names, packages
from functions import stages, table, tidy
from tests.functions.conftest import World

ROW: dict[str, Any] = {"package_arn": "arn:p/2", "challenger": {"package_arn": "arn:p/3"}}


@pytest.mark.parametrize(
    ("arn", "found", "wanted"),
    [
        ("arn:p/2", packages.ARCHIVED, packages.PRODUCTION),
        ("arn:p/3", packages.DEVELOPMENT, packages.STAGING),
        ("arn:p/1", packages.PRODUCTION, packages.ARCHIVED),
        ("arn:p/1", packages.STAGING, packages.ARCHIVED),
        ("arn:p/4", packages.DEVELOPMENT, packages.DEVELOPMENT),
        ("arn:p/4", {"Stage": "QA", "StageStatus": "OnHold"}, {"Stage": "QA", "StageStatus": "OnHold"}),
        ("arn:p/4", None, None),
    ],
    ids=["champion", "challenger", "replaced", "test ended", "never served", "a person's", "older"],
)
def test_what_serves_has_its_stage_and_what_served_is_archived(arn: str, found: Any, wanted: Any) -> None:
    assert stages.stage(arn, found, ROW) == wanted


def test_tidying_up_changes_only_what_is_not_as_the_row_has_it(world: World) -> None:
    sagemaker, group = world.client("sagemaker"), names.model_group(world.tenant, "digits")
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    first, second = (
        sagemaker.create_model_package(ModelPackageGroupName=group, ModelLifeCycle=packages.DEVELOPMENT)[
            "ModelPackageArn"
        ]
        for _ in range(2)
    )
    event = {"tenant": world.tenant, "project": "digits", "alarms": None}
    key = ledger.champion_key(world.tenant, "digits")
    table.put(key, {"package_arn": first, "version": 1, "endpoint": ""})
    assert tidy.handler(event, None)["stages"] == {"1": "Production"}
    assert tidy.handler(event, None)["stages"] == {}
    table.put(key, {"package_arn": second, "version": 2, "endpoint": ""})
    assert tidy.handler(event, None)["stages"] == {"2": "Production", "1": "Archived"}
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert {each["ModelPackageArn"]: each["ModelLifeCycle"] for each in listed} == {
        first: packages.ARCHIVED,
        second: packages.PRODUCTION,
    }
