"""Faults of states: what happens when one is entered, while it works, and to its result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.chaos.faults import (
    DeletedObject,
    DeployedDefinition,
    ObjectFault,
    OversizedResult,
    OverwrittenObject,
    StateFault,
    StoppedExecution,
    TimedOutState,
)
from local.chaos.lab import LAB

if TYPE_CHECKING:
    from local.stepfunctions.visit import Visit

TOO_LARGE = 256 * 1024 + 1
PATIENCE = 60.0  # laptop seconds in which a stop arrives
UPON_ENTRY = (StoppedExecution, DeployedDefinition, ObjectFault)


def enter(visit: Visit) -> None:
    """Do what is to happen when a state is entered."""
    if not LAB.waits(StateFault):
        return
    for kind in UPON_ENTRY:
        fault = LAB.take(kind, **_facts(visit))
        if isinstance(fault, StoppedExecution):
            _stop(visit)
        elif isinstance(fault, DeployedDefinition):
            _deploy(visit)
        elif isinstance(fault, ObjectFault):
            _change(visit, fault)


def seconds(visit: Visit, limit: float | None) -> float | None:
    """Return the laptop seconds that a state's work may take: none, where its time is over at once."""
    return 0.0 if LAB.take(TimedOutState, **_facts(visit)) else limit


def result(visit: Visit, given: Any) -> Any:
    """Return a state's result, or one that is too large."""
    return "x" * TOO_LARGE if LAB.take(OversizedResult, **_facts(visit)) else given


def _facts(visit: Visit) -> dict[str, str]:
    return {"state": visit.name, "execution": visit.context["Execution"]["Name"]}


def _stop(visit: Visit) -> None:
    cloud, arn = visit.flow.world.cloud, visit.context["Execution"]["Id"]
    stop = cloud.client("stepfunctions").stop_execution
    cloud.spawn(lambda: stop(executionArn=arn, error="Chaos", cause="the fault lab"), name=f"stop-{visit.name}")
    visit.flow.scope.sleep(PATIENCE)


def _deploy(visit: Visit) -> None:
    """Deploy the machine again with another comment, as any change of it does."""
    states, arn = visit.flow.world.cloud.client("stepfunctions"), visit.context["StateMachine"]["Id"]
    definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    changed = {**definition, "Comment": f"{definition.get('Comment', '')[:200]} Deployed during {visit.name!r}."}
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps(changed), publish=True)


def _change(visit: Visit, fault: ObjectFault) -> None:
    s3, place = visit.flow.world.cloud.client("s3"), {"Bucket": fault.bucket, "Key": fault.key}
    if isinstance(fault, OverwrittenObject):
        s3.put_object(**place, Body=fault.body.encode())
    elif isinstance(fault, DeletedObject):
        s3.delete_object(**place)
