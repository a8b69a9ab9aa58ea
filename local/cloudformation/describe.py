"""Stacks, resources and change sets as CloudFormation's API shows them."""

from __future__ import annotations

from typing import Any

from local.cloudformation.model import ChangeSet, Resource, Stack


def pairs(values: dict[str, Any], key: str, value: str) -> list[dict[str, str]]:
    """Return a mapping as a list of pairs under the names ``key`` and ``value``."""
    return [{key: name, value: str(item)} for name, item in values.items()]


def stack(found: Stack) -> dict[str, Any]:
    """Return a stack as DescribeStacks and ListStacks show it; secrets as stars."""
    declared = found.template.get("Parameters", {})
    shown = {
        name: "****" if declared[name].get("NoEcho") else found.given.get(name, declared[name].get("Default", ""))
        for name in declared
    }
    return {
        "StackId": found.stack_id,
        "StackName": found.name,
        "Description": found.template.get("Description"),
        "TemplateDescription": found.template.get("Description"),
        "Parameters": pairs(shown, "ParameterKey", "ParameterValue"),
        "CreationTime": found.created,
        "LastUpdatedTime": found.updated,
        "DeletionTime": found.deleted,
        "RollbackConfiguration": {},
        "StackStatus": found.status,
        "StackStatusReason": found.reason or None,
        "DisableRollback": found.keep_on_failure,
        "NotificationARNs": found.notification_arns,
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Outputs": found.outputs,
        "RoleARN": found.role or None,
        "Tags": pairs(found.tags, "Key", "Value"),
        "EnableTerminationProtection": found.protected,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def resource(stack: Stack, found: Resource) -> dict[str, Any]:
    """Return a resource as DescribeStackResources shows it."""
    return {
        "StackName": stack.name,
        "StackId": stack.stack_id,
        "LogicalResourceId": found.logical_id,
        "PhysicalResourceId": found.physical_id,
        "ResourceType": found.kind,
        "Timestamp": found.changed,
        "ResourceStatus": found.status,
        "ResourceStatusReason": found.reason or None,
    }


def summary(found: ChangeSet) -> dict[str, Any]:
    """Return a change set as ListChangeSets shows it."""
    return {
        "ChangeSetId": found.arn,
        "ChangeSetName": found.name,
        "StackId": found.stack.stack_id,
        "StackName": found.stack.name,
        "Status": found.status,
        "StatusReason": found.reason or None,
        "ExecutionStatus": found.execution,
        "CreationTime": found.created,
        "Description": found.description or None,
    }


def change_set(found: ChangeSet) -> dict[str, Any]:
    """Return a change set as DescribeChangeSet shows it."""
    return {
        **summary(found),
        "Parameters": pairs(found.given, "ParameterKey", "ParameterValue"),
        "Tags": pairs(found.tags or {}, "Key", "Value"),
        "Changes": found.changes,
    }
