"""The steps that put a model to sleep and wake it: its endpoint goes, or is made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract import ledger
from contract.errors import EndpointBusy
from infra.asl import ASKED, State, caught, choice, expression, invoke, task, transient, when
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import ALL_HEARD, NONE, ONE_MORE_UNHEARD, SAGEMAKER_ERRORS, on_failure
from infra.steps.endpoints import LIVE
from infra.steps.lease import EVENT


@dataclass(frozen=True, kw_only=True)
class SleepParts:
    """Everything outside the state machine that its states name: a function's ARN and a table's name."""

    plan: str
    ledger: str


def request() -> dict[str, Any]:
    """Return the variables of what was asked: by this execution's input, or that of the one that was stopped."""
    return {
        "tenant": expression(f"{ASKED}.tenant"),
        "project": expression(f"{ASKED}.project"),
        "asleep": expression(f"{ASKED}.asleep"),
        "by": expression(f"$exists({ASKED}.by) ? {ASKED}.by : 'person'"),
        "stopped_by": expression(f"{EVENT} and $exists($states.input.detail.error) ? $states.input.detail.error : ''"),
        "failure": NONE,
        **ALL_HEARD,
    }


def plan(parts: SleepParts, *, then: str, failed: str) -> State:
    """Call functions/sleep.py: what is there, and what brings it into the wanted state."""
    wanted = ("tenant", "project", "asleep", "by", "stopped_by")
    return invoke(
        parts.plan,
        {name: expression(f"${name}") for name in wanted},
        then=then,
        seconds=60,
        retry=[transient(EndpointBusy.__name__, first=10, longest=60, times=60)],
        assign={"deployment": "{% $states.result.Payload %}"},
        catch=on_failure(failed),
    )


def what_to_do(*, delete: str, note: str, create: str, look: str, nothing: str) -> State:
    """Decide by the plan; an endpoint that an earlier attempt made, or deleted, is as good as this one's."""
    there = "$deployment.verdict = 'sleep' and $deployment.there"
    lost = {"error": SAGEMAKER_ERRORS[1], "cause": "Three requests to delete the endpoint were lost: it is there."}
    return choice(
        when(f"{there} and $unheard > 2", nothing, {"failure": lost}),
        when(there, delete),
        when("$deployment.verdict = 'sleep'", note),
        when("$deployment.verdict = 'wake' and $deployment.there", look),
        when("$deployment.verdict = 'wake'", create),
        otherwise=nothing,
    )


def delete(*, then: str, look: str, failed: str) -> State:
    """Delete the endpoint; Application Auto Scaling forgets its variants, because the role may deregister them.

    Whether a request that nobody answered has arrived, the state ``look`` sees.
    Source: "Delete endpoints configured for auto scaling" (Amazon SageMaker AI Developer Guide).
    """
    service, lost = SAGEMAKER_ERRORS
    return task(
        "aws-sdk:sagemaker:deleteEndpoint",
        {"EndpointName": expression(LIVE)},
        then=then,
        seconds=60,
        retry=[transient(service, times=3)],
        output={},
        catch=[caught(lost, "States.Timeout", then=look, assign=ONE_MORE_UNHEARD), *on_failure(failed)],
    )


def note(parts: SleepParts, *, asleep: bool, then: str, failed: str) -> State:
    """Write into the champion's row that it sleeps, or that it is awake, and until when that holds."""
    mark = "SET asleep = :now, held_until = :held" if asleep else "SET held_until = :held REMOVE asleep"
    values = {":held": "$deployment.held_until", ":seen": "$deployment.package_arn"}
    values |= {":now": "$now()"} if asleep else {}
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.CHAMPION, "$tenant", "$project"),
            "UpdateExpression": mark,
            "ConditionExpression": "package_arn = :seen",
            "ExpressionAttributeValues": {name: {"S": expression(source)} for name, source in values.items()},
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        output={},
        catch=on_failure(failed),
    )


def how_did_it_end(*, well: str, badly: str) -> State:
    """Decide how the execution ends, now that the lease is free."""
    return choice(when("$failure != null", badly), otherwise=well)


def done() -> State:
    """End with the model as it was wanted, or as somebody else wanted it meanwhile."""
    told = {"asleep": "{% $deployment.asleep %}", "changed": "{% $deployment.verdict != 'nothing_to_do' %}"}
    return {"Type": "Succeed", "Output": told}


def failed() -> State:
    """End with the error; the hours, if there are any, try again within a quarter of an hour."""
    return {"Type": "Fail", "Error": "{% $failure.error %}", "Cause": "{% $failure.cause %}"}
