"""The project's deployment lease: one deployment of a project at a time."""

from __future__ import annotations

from typing import Any

from contract import ledger
from contract.errors import EndpointBusy
from contract.run import DeploymentStatus
from infra.asl import State, caught, choice, expression, invoke, task, transient, when
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import DeploymentParts, on_failure

HELD = "DynamoDB.ConditionalCheckFailedException"
HOLDER = {":me": {"S": "{% $states.context.Execution.Id %}"}}


def take(parts: DeploymentParts, *, then: str, seconds: int) -> State:
    """Take the lease, waiting while another deployment holds it.

    It expires with the longest execution, so that a deployment that was stopped or
    timed out, which no Catch sees, cannot block the project for longer.
    """
    now = "$floor($millis() / 1000)"
    times = {
        ":now": {"N": expression(f"$string({now})")},
        ":expires": {"N": expression(f"$string({now} + {seconds})")},
    }
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.LEASE, "$states.input.tenant", "$states.input.project"),
            "ConditionExpression": "attribute_not_exists(pk) OR expires < :now OR holder = :me",
            "UpdateExpression": "SET holder = :me, expires = :expires",
            "ExpressionAttributeValues": HOLDER | times,
        },
        then=then,
        seconds=60,
        retry=[transient(HELD, first=15, longest=30, times=500), transient(*LEDGER_ERRORS)],
        assign=_request(),
        output={},
    )


def plan(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/deployment.py: names, image, variant, and whether the champion is still as evaluated.

    It clears away what a dead deployment left, and is called again while an endpoint is still changing.
    """
    wanted = ("tenant", "project", "run", "package_arn", "expected_champion")
    return invoke(
        parts.plan,
        {name: expression(f"${name}") for name in wanted},
        then=then,
        seconds=60,
        retry=[transient(EndpointBusy.__name__, first=10, longest=30, times=60)],
        assign={"deployment": "{% $states.result.Payload %}"},
        catch=on_failure(failed),
    )


def is_as_evaluated(*, yes: str, no: str) -> State:
    """Decide whether the verdict still holds: it compared the challenger with the champion of its time."""
    changed = {"status": DeploymentStatus.CHAMPION_CHANGED.value}
    return choice(when("$deployment.champion_changed", no, assign=changed), otherwise=yes)


def release(parts: DeploymentParts, *, then: str) -> State:
    """Give the lease back, unless it expired and another deployment holds it by now."""
    return task(
        "dynamodb:deleteItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.LEASE, "$tenant", "$project"),
            "ConditionExpression": "holder = :me",
            "ExpressionAttributeValues": HOLDER,
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        output={},
        catch=[caught(HELD, then=then)],
    )


def how_did_it_end(*, well: str, changed: str, badly: str) -> State:
    """Decide how the execution ends, now that everything is tidy."""
    is_changed = when(f"$status = '{DeploymentStatus.CHAMPION_CHANGED}'", changed)
    return choice(when("$failure != null", badly), is_changed, otherwise=well)


def deployed() -> State:
    """End with the version in service."""
    made = {name: expression(f"$deployment.{name}") for name in ("endpoint", "version")}
    return {"Type": "Succeed", "Output": {"status": "{% $status %}"} | made}


def changed() -> State:
    """End with nothing touched: the verdict was about another champion."""
    return {"Type": "Succeed", "Output": {"status": "{% $status %}"}}


def failed() -> State:
    """End with the error that stopped the deployment, not with that of the cleaning up."""
    return {"Type": "Fail", "Error": "{% $failure.error %}", "Cause": "{% $failure.cause %}"}


def _or_empty(name: str) -> str:
    return expression(f"$exists($states.input.{name}) ? $states.input.{name} : ''")


def _request() -> dict[str, Any]:
    expected = "$states.input.expected_champion"
    return {
        "tenant": "{% $states.input.tenant %}",
        "project": "{% $states.input.project %}",
        # Missing ones are refused by the plan, which gives the lease back; an expression that fails here would not.
        "run": _or_empty("run"),
        "package_arn": _or_empty("package_arn"),
        "expected_champion": expression(f"$exists({expected}) ? {expected} : null"),
        "status": DeploymentStatus.DEPLOYED.value,
        "failure": "{% null %}",  # CDK drops a literal null
    }
