"""The project's deployment lease: one deployment of a project at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from contract import ledger, names
from contract.errors import EndpointBusy
from contract.run import DeploymentStatus
from infra.asl import ASKED, FOLLOWED, State, caught, choice, expression, invoke, task, transient, when
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import ALL_HEARD, DeploymentParts, on_failure

HELD = "DynamoDB.ConditionalCheckFailedException"
HOLDER = {":me": {"S": "{% $states.context.Execution.Id %}"}}
EVENT = "$exists($states.input.detail)"
STOPPED = f"({EVENT} ? $states.input.detail.executionArn : 'none')"


class Leasing(Protocol):
    """What knows the ledger's name."""

    @property
    def ledger(self) -> str:
        """The table's name."""


def take(parts: Leasing, *, then: str, busy: str, seconds: int, assign: Mapping[str, Any] | None = None) -> State:
    """Take the lease, waiting while another deployment holds it.

    A deployment that was stopped or timed out, which no Catch sees, leaves its lease: the execution that its event
    starts (infra/rules.py) takes it over, also where one before it died before it could. Should that one fail, too, the
    lease expires with the longest execution.
    ``assign`` reads what was asked; by default that of a deployment.
    """
    now = "$floor($millis() / 1000)"
    times = {
        ":stopped": {"S": expression(STOPPED)},
        ":followed": {"S": expression(f"({EVENT} ? {FOLLOWED} : 'none')")},
        ":now": {"N": expression(f"$string({now})")},
        ":expires": {"N": expression(f"$string({now} + {seconds})")},
    }
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.LEASE, f"{ASKED}.tenant", f"{ASKED}.project"),
            "ConditionExpression": "attribute_not_exists(pk) OR expires < :now OR holder IN (:me, :stopped, :followed)",
            "UpdateExpression": "SET holder = :me, expires = :expires",
            "ExpressionAttributeValues": HOLDER | times,
        },
        then=then,
        seconds=60,
        retry=[transient(HELD, first=15, longest=60, times=1100), transient(*LEDGER_ERRORS)],
        assign=assign or _request(),
        output={},
        catch=[caught(HELD, then=busy)],
    )


def plan(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/deployment.py: names, image, variant, and whether the champion is still as evaluated.

    It clears away what a dead deployment left, and is called again while an endpoint is still changing.
    """
    wanted = ("tenant", "project", "run", "package_arn", "expected_champion", "at_once", "stopped", "stopped_by")
    return invoke(
        parts.plan,
        {name: expression(f"${name}") for name in wanted},
        then=then,
        seconds=60,
        retry=[transient(EndpointBusy.__name__, first=10, longest=60, times=700)],
        assign={"deployment": "{% $states.result.Payload %}"},
        catch=on_failure(failed),
    )


def is_as_evaluated(*, yes: str, changed: str, nothing_to_do: str) -> State:
    """Decide whether the verdict still holds: it compared the challenger with the champion of its time.

    After a deployment that was stopped, there may be nothing to put back.
    """
    statuses = {name: {"status": name.value} for name in DeploymentStatus}
    return choice(
        when("$deployment.verdict = 'champion_changed'", changed, statuses[DeploymentStatus.CHAMPION_CHANGED]),
        when("$deployment.verdict = 'nothing_to_do'", nothing_to_do, statuses[DeploymentStatus.NOTHING_TO_DO]),
        otherwise=yes,
    )


def which_target(*, endpoint: str, function: str, offline: str, unknown: str) -> State:
    """Decide by the kind of target: an endpoint of SageMaker, a Lambda function, or nothing that waits for requests."""

    def one_of(targets: Sequence[str]) -> str:
        return "$deployment.target in [" + ", ".join(f"'{target}'" for target in targets) + "]"

    cause = expression("'No steps deploy to target ' & $deployment.target")
    failure = {"error": "UnknownTarget", "cause": cause}
    return choice(
        when(one_of(names.ENDPOINT_TARGETS), endpoint),
        when("$deployment.target = 'lambda'", function),
        when(one_of(names.OFFLINE_TARGETS), offline),
        otherwise=unknown,
        assign={"failure": failure},
    )


def release(parts: Leasing, *, then: str) -> State:
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
    made = {name: expression(f"$deployment.{name}") for name in ("endpoint", "version", "target")}
    return {"Type": "Succeed", "Output": {"status": "{% $status %}"} | made}


def changed() -> State:
    """End with nothing touched: the verdict was about another champion."""
    return {"Type": "Succeed", "Output": {"status": "{% $status %}"}}


def failed() -> State:
    """End with the error that stopped the deployment, not with that of the cleaning up."""
    return {"Type": "Fail", "Error": "{% $failure.error %}", "Cause": "{% $failure.cause %}"}


def busy() -> State:
    """End: another deployment of the project took longer than this one could wait."""
    cause = "Another deployment of the project is still going on. Try again when it has ended."
    return {"Type": "Fail", "Error": "DeploymentBusy", "Cause": cause}


def _or(name: str, otherwise: str) -> str:
    return expression(f"$exists({ASKED}.{name}) ? {ASKED}.{name} : {otherwise}")


def _request() -> dict[str, Any]:
    return {
        "tenant": expression(f"{ASKED}.tenant"),
        "project": expression(f"{ASKED}.project"),
        # Missing ones are refused by the plan, which gives the lease back; an expression that fails here would not.
        "run": _or("run", "''"),
        "package_arn": _or("package_arn", "''"),
        "expected_champion": expression(
            f"{EVENT} ? null : $exists({ASKED}.expected_champion) ? {ASKED}.expected_champion : null"
        ),
        "at_once": _or("at_once", "false"),
        "stopped": expression(f"{EVENT} ? {STOPPED} : ''"),
        "stopped_by": expression("$exists($states.input.detail.error) ? $states.input.detail.error : ''"),
        "status": DeploymentStatus.DEPLOYED.value,
        "failure": "{% null %}",  # CDK drops a literal null
        "minutes": 0,
        **ALL_HEARD,
    }
