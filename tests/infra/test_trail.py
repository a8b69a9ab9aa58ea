"""Who touched which object, and who called what, is recorded where nobody can change it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from infra.trail import LOCKED_DAYS
from tests.infra.conftest import Assembly, listed

CLOUDTRAIL = {"Service": "cloudtrail.amazonaws.com"}


@pytest.fixture(scope="module")
def selectors(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """What the trail records: fields by selector."""
    found = assembly.one("AWS::CloudTrail::Trail")["AdvancedEventSelectors"]
    return {each["Name"]: {field.pop("Field"): field for field in each["FieldSelectors"]} for each in found}


def test_every_call_on_people_s_objects_and_every_change_of_the_ledger_is_recorded(
    selectors: dict[str, dict[str, Any]],
) -> None:
    objects, ledger = selectors["Objects"], selectors["Ledger"]
    assert objects["resources.type"] == {"Equals": ["AWS::S3::Object"]}
    assert "readOnly" not in objects
    recorded = json.dumps(objects["resources.ARN"]["StartsWith"])
    assert all(f'"{bucket}' in recorded for bucket in ("Data", "Artifacts"))
    assert ledger["resources.type"] == {"Equals": ["AWS::DynamoDB::Table"]}
    assert "Ledger" in json.dumps(ledger["resources.ARN"])
    assert ledger["readOnly"] == {"Equals": ["false"]}  # each prediction reads it


def test_calls_that_change_something_are_recorded_and_no_others(selectors: dict[str, dict[str, Any]]) -> None:
    assert selectors["Calls"] == {"eventCategory": {"Equals": ["Management"]}, "readOnly": {"Equals": ["false"]}}


def test_the_trail_is_encrypted_validated_and_locked(assembly: Assembly) -> None:
    trail = assembly.one("AWS::CloudTrail::Trail")
    assert trail["IsLogging"] is trail["EnableLogFileValidation"] is True
    assert "Key" in json.dumps(trail["KMSKeyId"])
    (bucket,) = (each for each in assembly.resources("AWS::S3::Bucket") if "ObjectLockConfiguration" in each)
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["BucketKeyEnabled"] is False, "with one, CloudTrail would have to be let decrypt"
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (bucket["ObjectLockEnabled"], retention) == (True, {"Mode": "GOVERNANCE", "Days": LOCKED_DAYS})


def test_only_this_trail_writes_there_and_uses_the_key(assembly: Assembly) -> None:
    policies = [policy["PolicyDocument"] for policy in assembly.resources("AWS::S3::BucketPolicy")]
    policies.append(assembly.one("AWS::KMS::Key")["KeyPolicy"])
    allowed = [each for policy in policies for each in policy["Statement"] if each["Principal"] == CLOUDTRAIL]
    actions = sorted(action for each in allowed for action in listed(each["Action"]))
    assert actions == ["kms:DescribeKey", "kms:GenerateDataKey*", "s3:GetBucketAcl", "s3:PutObject"]
    for statement in allowed:
        assert f":trail/{names.TRAIL}" in json.dumps(statement["Condition"]["StringEquals"]["aws:SourceArn"])
