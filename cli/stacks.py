"""Stacks that the command line makes itself, by CloudFormation: those of tenants."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cli.aws import Account
from cli.errors import CommandError
from contract import keys

SLOWEST_POLL = 5.0
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS", "DELETE_FAILED")
"""Statuses of a stack whose creation or removal failed: it can only be deleted."""
DELETING = "DELETE_IN_PROGRESS"
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
PREVIOUS = None
"""Of a parameter: it stays as it is."""


def apply(
    account: Account, name: str, template: str, parameters: Mapping[str, str | None], tags: Mapping[str, str]
) -> None:
    """Make a stack, or bring it up to date; it is protected against deletion by mistake.

    Args:
        account: where.
        name: of the stack.
        template: ``s3://bucket/key``.
        parameters: by name; PREVIOUS leaves one as it is.
        tags: of the stack, and of what is in it.

    Raises:
        CommandError: with the reasons of the resources that failed.
    """
    cloudformation = account.client("cloudformation")
    if account.stack_status(name) in DEAD:
        delete(account, name)
    is_new = account.stack_status(name) is None
    bucket, key = keys.parse_uri(template)
    endpoint = account.client("s3").meta.endpoint_url.rstrip("/")  # the region's own: opt-in regions know no other
    arguments = {
        "StackName": name,
        "TemplateURL": f"{endpoint}/{bucket}/{key}",
        "Parameters": [_parameter(*pair) for pair in parameters.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    began = time.time()
    try:
        (cloudformation.create_stack if is_new else cloudformation.update_stack)(**arguments)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    status = _settled(account, name)
    if status not in DONE:
        raise CommandError(f"The stack {name} is {status}:\n{_reasons(account, name, began)}")
    cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=True)


def delete(account: Account, name: str) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        CommandError: with the reasons of the resources that stay.
    """
    began, cloudformation = time.time(), account.client("cloudformation")
    if account.stack_status(name) != DELETING:
        cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)
        cloudformation.delete_stack(StackName=name)
    if status := _settled(account, name):
        raise CommandError(f"The stack {name} is {status}:\n{_reasons(account, name, began)}")


def _parameter(name: str, value: str | None) -> dict[str, Any]:
    told = {"UsePreviousValue": True} if value is PREVIOUS else {"ParameterValue": value}
    return {"ParameterKey": name, **told}


def _settled(account: Account, name: str) -> str | None:
    """Wait until nothing is in progress; return the status, None once the stack is gone."""
    pause = 0.1
    while (status := account.stack_status(name)) and status.endswith("IN_PROGRESS"):
        time.sleep(pause)
        pause = min(2 * pause, SLOWEST_POLL)
    return status


def _reasons(account: Account, name: str, began: float) -> str:
    events = account.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name)
    failed = [each for each in events if each["ResourceStatus"].endswith("FAILED")]
    lines = [
        f"  {each['LogicalResourceId']} ({each['ResourceType']}): {each.get('ResourceStatusReason', 'no reason given')}"
        for each in reversed(failed)
        if each["Timestamp"].timestamp() >= began - 60
    ]
    return "\n".join(lines) or "  CloudFormation gave no reason"
