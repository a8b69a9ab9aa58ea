"""Finds and removes everything of an installation: what runs, what was made at run time, the stacks, the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli import api_keys, versions
from cli.aws import Account, error_code
from contract import names


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to remove."""

    kind: str
    name: str
    arn: str = ""


RETAINED = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key")
"""Types whose resources may outlive their stack, because they hold data (or the key to it)."""

PATIENCE = {"Delay": 2, "MaxAttempts": 1800}  # an hour
_WHY = "its application or its tenant was removed"

_LISTINGS = (
    # kind, operation, key of the items, key of the name, key of the ARN
    ("endpoint", "list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
    ("endpoint configuration", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"),
    ("model", "list_models", "Models", "ModelName", "ModelArn"),
)


def find_running(account: Account) -> Iterator[Item]:
    """Yield the executions that go on, stopping one stops its jobs; then the searches, which go on without them."""
    outputs = (names.OUTPUT_PIPELINE_ARN, names.OUTPUT_DEPLOYMENT_ARN, names.OUTPUT_BATCH_ARN, names.OUTPUT_SLEEP_ARN)
    for machine in (account.outputs[name] for name in outputs if name in account.outputs):
        for item in account.pages(
            "stepfunctions", "list_executions", "executions", stateMachineArn=machine, statusFilter="RUNNING"
        ):
            yield Item(kind="execution", name=item["name"], arn=item["executionArn"])
    operation, member = "list_hyper_parameter_tuning_jobs", "HyperParameterTuningJobSummaries"
    for item in account.pages("sagemaker", operation, member, StatusEquals="InProgress"):
        if _is_ours(account, item["HyperParameterTuningJobArn"]):
            yield Item(kind="search", name=item["HyperParameterTuningJobName"])


def find_endpoints(account: Account, beginning: str = "") -> Iterator[Item]:
    """Yield the endpoints, their configurations and models: made at run time, known by their tag.

    Args:
        account: where.
        beginning: of their names, as of everything that serves one tenant; here and below.
    """
    only = {"NameContains": beginning} if beginning else {}
    for kind, operation, key, name, arn in _LISTINGS:
        for item in account.pages("sagemaker", operation, key, **only):
            if item[name].startswith(beginning) and _is_ours(account, item[arn]):
                yield Item(kind=kind, name=item[name], arn=item[arn])


def find_scaling(account: Account, beginning: str = "") -> Iterator[Item]:
    """Yield the variants of our endpoints that are scaled: only who may deregister them may delete their endpoint."""
    ours = {item.name for item in find_endpoints(account, beginning) if item.kind == "endpoint"}
    for target in account.pages(
        "application-autoscaling", "describe_scalable_targets", "ScalableTargets", ServiceNamespace="sagemaker"
    ):
        if target["ResourceId"].split("/")[1] in ours:
            yield Item(kind="scaling", name=target["ResourceId"])


def find_functions(account: Account, beginning: str = "") -> Iterator[Item]:
    """Yield the Lambda functions that serve models: made at run time, known by their name and their tag."""
    for item in account.pages("lambda", "list_functions", "Functions"):
        if "--" in item["FunctionName"] and item["FunctionName"].startswith(beginning):
            tags = account.client("lambda").list_tags(Resource=item["FunctionArn"])["Tags"]
            if tags.get(names.TAG_APP) == names.APP:
                yield Item(kind="function", name=item["FunctionName"], arn=item["FunctionArn"])


def find_keys(account: Account, beginning: str = "") -> Iterator[Item]:
    """Yield the API keys and usage plans: made by `tandem key`, known by their tag; no stage goes before its plans."""
    for kind, operation in (("API key", "get_api_keys"), ("usage plan", "get_usage_plans")):
        for item in (one for one in api_keys.ours(account, operation) if one["name"].startswith(beginning)):
            yield Item(kind=kind, name=item["name"], arn=item["id"])


def find_alarms(account: Account, beginning: str = "") -> Iterator[Item]:
    """Yield the alarms of variants and versions: made at run time, known by their names' form and by their tag."""
    only = {"AlarmTypes": ["MetricAlarm"], **({"AlarmNamePrefix": beginning} if beginning else {})}
    for alarm in account.pages("cloudwatch", "describe_alarms", "MetricAlarms", **only):
        name, arn = alarm["AlarmName"], alarm["AlarmArn"]
        if names.ALARM.fullmatch(name):
            tags = account.client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"]
            if _has_our_tag(tags):
                yield Item(kind="alarm", name=name, arn=arn)


def find_registry(account: Account) -> Iterator[Item]:
    """Yield the model packages and their groups, packages first."""
    for group in account.pages("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList"):
        if _is_ours(account, group["ModelPackageGroupArn"]):
            name = group["ModelPackageGroupName"]
            for package in account.pages(
                "sagemaker", "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=name
            ):
                yield Item(kind="model package", name=package["ModelPackageArn"], arn=package["ModelPackageArn"])
            yield Item(kind="model package group", name=name, arn=group["ModelPackageGroupArn"])


def find_data(account: Account) -> Iterator[Item]:
    """Yield the buckets, tables and keys of the stacks."""
    for stack in account.stacks():
        for item in account.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack):
            if item["ResourceType"] in RETAINED and item.get("PhysicalResourceId"):
                yield Item(kind=item["ResourceType"], name=item["PhysicalResourceId"])


def find_tenants(account: Account) -> Iterator[Item]:
    """Yield the stacks of tenants; they hold policies of the application's, so that they go before it."""
    for stack in _tenants_stacks(account):
        yield Item(kind="stack", name=stack["StackName"], arn=stack["StackId"])


def find_people(account: Account) -> Iterator[Item]:
    """Yield to whom the policies of tenants' people are attached: IAM deletes no policy that somebody has."""
    for stack in _tenants_stacks(account):
        for policy in (out for out in stack.get("Outputs", []) if out["OutputKey"] == names.OUTPUT_PEOPLE_POLICY):
            for kind, member in _ATTACHED.items():
                arn = policy["OutputValue"]
                for each in account.pages("iam", "list_entities_for_policy", member, PolicyArn=arn):
                    yield Item(kind=f"policy of {kind}", name=each[f"{kind.title()}Name"], arn=arn)


_ATTACHED = {"user": "PolicyUsers", "group": "PolicyGroups", "role": "PolicyRoles"}


def _tenants_stacks(account: Account) -> Iterator[dict[str, Any]]:
    for stack in account.pages("cloudformation", "describe_stacks", "Stacks"):
        if stack["StackName"].startswith(names.TENANT_STACK):
            yield stack


def find_tenants_keys(account: Account) -> Iterator[Item]:
    """Yield the keys of tenants, those of removed ones too, and their aliases."""
    for alias in account.pages("kms", "list_aliases", "Aliases"):
        if alias["AliasName"].startswith(names.key_alias("")) and "TargetKeyId" in alias:
            yield Item(kind="AWS::KMS::Key", name=alias["TargetKeyId"])
            yield Item(kind="alias", name=alias["AliasName"])


def _is_ours(account: Account, arn: str) -> bool:
    return _has_our_tag(account.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn))


def _has_our_tag(tags: Iterable[Any]) -> bool:
    return any(tag["Key"] == names.TAG_APP and tag["Value"] == names.APP for tag in tags)


def remove(account: Account, items: Iterable[Item], say: Callable[[str], None]) -> None:
    """Remove each item in turn; one that is gone already is fine."""
    for item in items:
        say(f"Removing {item.kind} {item.name}")
        try:
            _REMOVERS[item.kind](account, item)
        except ClientError as error:
            if not _is_gone(error):
                raise


_GONE = (
    "NoSuchBucket", "ResourceNotFoundException", "ResourceNotFound", "ExecutionDoesNotExist",
    "NotFoundException", "404", "ObjectNotFoundException", "NoSuchEntity",
)  # fmt: skip
_GONE_WORDS = ("Could not find", "does not exist", "tuning job is in status")  # the last: it has ended meanwhile


def _is_gone(error: ClientError) -> bool:
    return error_code(error) in _GONE or any(words in str(error) for words in _GONE_WORDS)


def _stop(account: Account, item: Item) -> None:
    account.client("stepfunctions").stop_execution(executionArn=item.arn, error=names.DESTROYED, cause=_WHY)


def _delete_endpoint(account: Account, item: Item) -> None:
    """Delete an endpoint; what changes it at the moment, somebody's deletion too, is waited for."""
    sagemaker = account.client("sagemaker")
    for attempt in range(1, PATIENCE["MaxAttempts"] + 1):
        try:
            sagemaker.delete_endpoint(EndpointName=item.name)
            break
        except ClientError as error:
            if "in-progress" not in str(error) or attempt == PATIENCE["MaxAttempts"]:
                raise
            time.sleep(PATIENCE["Delay"])
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=item.name, WaiterConfig=PATIENCE)


def _detach(account: Account, item: Item) -> None:
    kind = item.kind.removeprefix("policy of ")
    detach = getattr(account.client("iam"), f"detach_{kind}_policy")
    detach(**{f"{kind.title()}Name": item.name}, PolicyArn=item.arn)


def _stop_scaling(account: Account, item: Item) -> None:
    account.client("application-autoscaling").deregister_scalable_target(**names.SCALABLE, ResourceId=item.name)


def _delete_alarm(account: Account, item: Item) -> None:
    account.client("cloudwatch").delete_alarms(AlarmNames=[item.name])


def _delete_bucket(account: Account, item: Item) -> None:
    s3 = account.client("s3")
    # S3 refuses to hear of it where nothing can be locked; the trail's objects are.
    bypass = {"BypassGovernanceRetention": True} if versions.can_lock(account, item.name) else {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=item.name):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            s3.delete_objects(Bucket=item.name, Delete={"Objects": objects, "Quiet": True}, **bypass)
    s3.delete_bucket(Bucket=item.name)


def _delete_stack(account: Account, item: Item) -> None:
    cloudformation = account.client("cloudformation")
    cloudformation.update_termination_protection(StackName=item.name, EnableTerminationProtection=False)
    cloudformation.delete_stack(StackName=item.name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=item.arn or item.name, WaiterConfig=PATIENCE)


def _delete_table(account: Account, item: Item) -> None:
    dynamodb = account.client("dynamodb")
    dynamodb.update_table(TableName=item.name, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=item.name, WaiterConfig=PATIENCE)  # none goes while it changes
    dynamodb.delete_table(TableName=item.name)


def _call(service: str, operation: str, argument: str) -> Callable[[Account, Item], None]:
    def remover(account: Account, item: Item) -> None:
        arguments: dict[str, Any] = {argument: item.name}
        getattr(account.client(service), operation)(**arguments)

    return remover


def _schedule_key_deletion(account: Account, item: Item) -> None:
    kms = account.client("kms")
    if kms.describe_key(KeyId=item.name)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        kms.schedule_key_deletion(KeyId=item.name, PendingWindowInDays=7)


def _delete_key(account: Account, item: Item) -> None:
    api_keys.forget(account, item.arn)


def _delete_plan(account: Account, item: Item) -> None:
    api_keys.delete_plan(account, account.client("apigateway").get_usage_plan(usagePlanId=item.arn))


_REMOVERS: dict[str, Callable[[Account, Item], None]] = {
    "API key": _delete_key,
    "usage plan": _delete_plan,
    "execution": _stop,
    "search": _call("sagemaker", "stop_hyper_parameter_tuning_job", "HyperParameterTuningJobName"),
    "scaling": _stop_scaling,
    "endpoint": _delete_endpoint,
    "alarm": _delete_alarm,
    "endpoint configuration": _call("sagemaker", "delete_endpoint_config", "EndpointConfigName"),
    "function": _call("lambda", "delete_function", "FunctionName"),
    "model": _call("sagemaker", "delete_model", "ModelName"),
    "model package": _call("sagemaker", "delete_model_package", "ModelPackageName"),
    "model package group": _call("sagemaker", "delete_model_package_group", "ModelPackageGroupName"),
    **dict.fromkeys((f"policy of {kind}" for kind in _ATTACHED), _detach),
    "stack": _delete_stack,
    "alias": _call("kms", "delete_alias", "AliasName"),
    "AWS::S3::Bucket": _delete_bucket,
    "AWS::DynamoDB::Table": _delete_table,
    "AWS::KMS::Key": _schedule_key_deletion,
}
