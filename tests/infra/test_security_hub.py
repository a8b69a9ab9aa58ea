"""Every control of Security Hub that docs/security_hub.py calls met is met by the templates and the state machines."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import names
from docs.security_hub import ACCOUNT, CONTROLS, IN_PRIVATE_NETWORK, MET, NOT_MET, NOT_THERE
from tests.infra.conftest import Assembly, listed
from tests.infra.test_arguments import States, evaluate, variables

__all__ = ["variables"]  # a fixture of test_arguments

Check = Callable[[Assembly], bool]
ROOT = {"AWS": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::", {"Ref": "AWS::AccountId"}, ":root"]]}}


def every(kind: str, holds: Callable[[dict[str, Any]], object]) -> Check:
    """Return the check that something holds of every resource of a type, of which there is one at least."""

    def check(assembly: Assembly) -> bool:
        found = list(assembly.resources(f"AWS::{kind}"))
        return bool(found) and all(holds(each) for each in found)

    return check


def ours(holds: Callable[[dict[str, Any]], object]) -> Check:
    """Return the check of every bucket but that of the access logs."""
    return every("S3::Bucket", lambda bucket: _is_log(bucket) or holds(bucket))


def _is_log(bucket: dict[str, Any]) -> bool:
    return "LoggingConfiguration" not in bucket


def tagged(kind: str) -> Check:
    return every(kind, lambda each: {"Key": names.TAG_APP, "Value": names.APP} in each["Tags"])


def statements(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (each for each in policy["Statement"] if each["Effect"] == "Allow")


def is_private(policy: dict[str, Any]) -> bool:
    """Whether a resource's policy lets in nobody but services and this account."""
    return all(set(each["Principal"]) == {"Service"} or each["Principal"] == ROOT for each in statements(policy))


def policies_of(kind: str, name: str = "PolicyDocument") -> Check:
    return every(kind, lambda each: is_private(each[name]))


def is_narrow(policy: dict[str, Any]) -> bool:
    actions = [action for each in statements(policy) for action in listed(each["Action"])]
    return not any(action == "*" or action.endswith(":*") for action in actions)


def refuses_plain_http(policy: dict[str, Any]) -> bool:
    denied = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
    return any(each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for each in denied)


def names_its_keys(policy: dict[str, Any]) -> bool:
    """Whether decryption is allowed with keys of this account and region alone."""
    reached = [
        json.dumps(key)
        for each in statements(policy)
        if any(fnmatch.fnmatch("kms:decrypt", action.lower()) for action in listed(each["Action"]))
        for key in listed(each["Resource"])
    ]
    return not any(key == '"*"' or ":kms:*:" in key for key in reached)


def every_policy(holds: Callable[[dict[str, Any]], object]) -> Check:
    """Return the check of every policy, of roles and managed ones."""
    kinds = [every(kind, lambda each: holds(each["PolicyDocument"])) for kind in ("IAM::Policy", "IAM::ManagedPolicy")]
    return lambda assembly: all(check(assembly) for check in kinds)


def keys_outlive_their_stacks(assembly: Assembly) -> bool:
    resources = (each for stack in names.STACKS for each in assembly.template(stack)["Resources"].values())
    return {each.get("DeletionPolicy") for each in resources if each["Type"] == "AWS::KMS::Key"} == {"Retain"}


def stacks_are_tagged_and_protected(assembly: Assembly) -> bool:
    found = assembly.stacks()
    return bool(found) and all(each["terminationProtection"] and each["tags"][names.TAG_APP] for each in found)


def lets_in_its_members_alone(assembly: Assembly) -> bool:
    groups, rules = (list(assembly.resources(f"AWS::EC2::SecurityGroup{kind}")) for kind in ("", "Ingress"))
    if not groups or any("SecurityGroupIngress" in group for group in groups):
        return False
    return all("SourceSecurityGroupId" in rule and "CidrIp" not in rule for rule in rules)


def serving_functions_are_private(assembly: Assembly) -> bool:
    principals = {json.dumps(each["Principal"]) for each in assembly.resources("AWS::Lambda::Permission")}
    return bool(principals) and all(each.endswith('.amazonaws.com"') for each in principals)


CHECKS: dict[str, Check] = {
    "S3.2, S3.3, S3.8": every("S3::Bucket", lambda b: set(b["PublicAccessBlockConfiguration"].values()) == {True}),
    "S3.5": every("S3::BucketPolicy", refuses_plain_http),
    "S3.6": policies_of("S3::BucketPolicy"),
    "S3.9": ours(lambda bucket: bucket["LoggingConfiguration"]["DestinationBucketName"]),
    "S3.10, S3.13": every("S3::Bucket", lambda bucket: bucket["LifecycleConfiguration"]["Rules"]),
    "S3.11": ours(lambda bucket: bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"]),
    "S3.12": every("S3::Bucket", lambda bucket: "AccessControl" not in bucket),
    "S3.14": every("S3::Bucket", lambda bucket: bucket["VersioningConfiguration"]["Status"] == "Enabled"),
    "S3.17": ours(lambda bucket: "aws:kms" in json.dumps(bucket["BucketEncryption"])),
    "DynamoDB.1": every("DynamoDB::Table", lambda table: table["BillingMode"] == "PAY_PER_REQUEST"),
    "DynamoDB.2": every(
        "DynamoDB::Table", lambda t: t["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    ),
    "DynamoDB.5": tagged("DynamoDB::Table"),
    "DynamoDB.6": every("DynamoDB::Table", lambda table: table["DeletionProtectionEnabled"]),
    "Lambda.1": serving_functions_are_private,
    "Lambda.2": every("Lambda::Function", lambda function: function["Runtime"] in ("python3.12", "python3.13")),
    "Lambda.6": tagged("Lambda::Function"),
    "Lambda.7": every("Lambda::Function", lambda function: function["TracingConfig"] == {"Mode": "Active"}),
    "KMS.1, KMS.2": every_policy(names_its_keys),
    "KMS.3": keys_outlive_their_stacks,
    "KMS.4": every("KMS::Key", lambda key: key["EnableKeyRotation"]),
    "KMS.5": policies_of("KMS::Key", "KeyPolicy"),
    "StepFunctions.1": every(
        "StepFunctions::StateMachine", lambda machine: machine["LoggingConfiguration"]["Level"] == "ALL"
    ),
    "SNS.1": every("SNS::Topic", lambda topic: topic["KmsMasterKeyId"]),
    "SNS.3": tagged("SNS::Topic"),
    "SNS.4": policies_of("SNS::TopicPolicy"),
    "SQS.1": every("SQS::Queue", lambda queue: queue["KmsMasterKeyId"]),
    "SQS.2": tagged("SQS::Queue"),
    "SQS.3": policies_of("SQS::QueuePolicy"),
    "ECR.1": every("ECR::Repository", lambda images: images["ImageScanningConfiguration"]["ScanOnPush"]),
    "ECR.2": every("ECR::Repository", lambda images: images["ImageTagMutability"] == "IMMUTABLE"),
    "ECR.3": every("ECR::Repository", lambda images: images["LifecyclePolicy"]),
    "ECR.5": every("ECR::Repository", lambda images: images["EncryptionConfiguration"]["KmsKey"]),
    "CloudTrail.2": every("CloudTrail::Trail", lambda trail: trail["KMSKeyId"]),
    "CloudTrail.3": every("CloudTrail::Trail", lambda trail: trail["IsLogging"]),
    "CloudTrail.4": every("CloudTrail::Trail", lambda trail: trail["EnableLogFileValidation"]),
    "CloudTrail.6, CloudTrail.7": every(
        "S3::Bucket",
        lambda b: (
            "ObjectLockEnabled" not in b or ("LoggingConfiguration" in b and "PublicAccessBlockConfiguration" in b)
        ),
    ),
    "CloudTrail.9": tagged("CloudTrail::Trail"),
    "CodeBuild.1": every("CodeBuild::Project", lambda build: build["Source"]["Type"] == "S3"),
    "CodeBuild.2": every("CodeBuild::Project", lambda build: "AWS_" not in json.dumps(build["Environment"])),
    "CodeBuild.4": every(
        "CodeBuild::Project", lambda build: build["LogsConfig"]["CloudWatchLogs"]["Status"] == "ENABLED"
    ),
    "APIGateway.3": every("ApiGateway::Stage", lambda stage: stage["TracingEnabled"]),
    "CloudWatch.15, CloudWatch.17": every(
        "CloudWatch::Alarm", lambda alarm: alarm["AlarmActions"] and alarm.get("ActionsEnabled", True)
    ),
    "IAM.1, IAM.21": every_policy(is_narrow),
    "IAM.24": tagged("IAM::Role"),
    "CloudFormation.2, CloudFormation.3": stacks_are_tagged_and_protected,
}
IN_PRIVATE: dict[str, Check] = {  # held against such a network by test_network.py
    "Lambda.3": every("Lambda::Function", lambda function: function["VpcConfig"]["SubnetIds"]),
    "Lambda.5": every("Lambda::Function", lambda function: len(function["VpcConfig"]["SubnetIds"]) > 1),
    "EC2.6": every("EC2::FlowLog", lambda log: log["ResourceType"] == "VPC"),
    "EC2.13, EC2.14, EC2.18, EC2.19": lets_in_its_members_alone,
    "EC2.15": every("EC2::Subnet", lambda subnet: subnet["MapPublicIpOnLaunch"] is False),
    "EC2.42, EC2.43, EC2.44, EC2.46, EC2.48": lambda assembly: all(
        tagged(f"EC2::{kind}")(assembly) for kind in ("RouteTable", "SecurityGroup", "Subnet", "VPC", "FlowLog")
    ),
}


@pytest.mark.parametrize("control", CHECKS)
def test_a_control_that_is_said_to_be_met_is(assembly: Assembly, control: str) -> None:
    assert CHECKS[control](assembly), MET[control]


class Nothing(Assembly):
    """An application that makes nothing."""

    def template(self, stack: str) -> dict[str, Any]:
        return {"Resources": {}}

    def stacks(self) -> list[dict[str, Any]]:
        return []

    def resources(self, kind: str, *stacks: str) -> Iterator[dict[str, Any]]:
        yield from ()


def test_nothing_is_met_by_what_is_not_there() -> None:
    assert [control for control, check in {**CHECKS, **IN_PRIVATE}.items() if check(Nothing(Path()))] == []


@pytest.mark.parametrize("target", ["realtime", "async", "batch"])
def test_models_are_isolated(deployment_states: States, variables: dict[str, Any], target: str) -> None:
    """SageMaker.5."""
    variables["deployment"]["target"] = target
    for name in ("Create model", "Create transform model"):
        assert evaluate(deployment_states[name]["Arguments"], variables)["EnableNetworkIsolation"] is True


def test_hosts_of_one_job_talk_encrypted(run_states: States, variables: dict[str, Any]) -> None:
    variables["plan"]["train"]["hosts"] = variables["run"]["prepare"]["hosts"] = 2
    variables["run"]["prepare"]["engine"] = "spark"
    for name in ("Train on spot", "Train on demand", "Prepare large dataset"):
        arguments = evaluate(run_states[name]["Arguments"], variables)
        assert arguments.get("NetworkConfig", arguments)["EnableInterContainerTrafficEncryption"] is True
    search = evaluate(run_states["Tune"]["Arguments"], variables)["TrainingJobDefinition"]
    assert search["EnableInterContainerTrafficEncryption"] is True


def test_what_is_not_there_is_not(assembly: Assembly, deployment_states: States, run_states: States) -> None:
    made = json.dumps([*deployment_states.values(), *run_states.values()]).lower()
    templates = "".join(json.dumps(assembly.template(stack)) for stack in names.STACKS)
    for what in ("jobdefinition", "monitoringschedule", "featuregroup", "inferenceexperiment", "notebook"):
        assert f"create{what}" not in made.replace("quality", "")
    for kind in ("SageMaker::", "S3::AccessPoint", "DAX::", "StepFunctions::Activity", "ApiGatewayV2::"):
        assert f"AWS::{kind}" not in templates


def test_every_control_is_answered_and_none_twice() -> None:
    tables = (MET, IN_PRIVATE_NETWORK, NOT_MET, NOT_THERE, ACCOUNT)
    answered = sorted(control for table in tables for control in _listed(table))
    assert answered == sorted(f"{service}.{number}" for service, numbers in CONTROLS.items() for number in numbers)
    assert set(MET) == {*CHECKS, "SageMaker.5"}
    assert set(IN_PRIVATE_NETWORK) == set(IN_PRIVATE)


def _listed(table: dict[str, str]) -> Iterator[str]:
    for row in table:
        service = row.partition(".")[0]
        yield from (each if not each.startswith(".") else service + each for each in row.split(", "))


@pytest.mark.parametrize("engine", ["embedded", "spark"])
def test_every_job_is_isolated_and_what_it_writes_is_encrypted_with_its_tenants_key(
    run_states: States, variables: dict[str, Any], engine: str
) -> None:
    """Spark is the exception: its hosts reach each other and S3, in a network of their own."""
    variables["run"]["prepare"] |= {"engine": engine, "hosts": 2}
    jobs = {name: each for name, each in run_states.items() if re.search(r":create\w+Job", each.get("Resource", ""))}
    assert len(jobs) >= 7
    for name, job in jobs.items():
        arguments = evaluate(job["Arguments"], variables)
        for each in arguments.get("TrainingJobDefinitions") or [arguments.get("TrainingJobDefinition", arguments)]:
            written = each.get("ProcessingOutputConfig") or each["OutputDataConfig"]
            assert written["KmsKeyId"].endswith("alias/acme"), name
            isolated = each.get("NetworkConfig", each)["EnableNetworkIsolation"]
            assert isolated is not (engine == "spark" and name.startswith("Prepare")), name
