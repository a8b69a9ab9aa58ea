"""What each type of state does when it is entered ("Amazon States Language", JSONata form)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from local.chaos import states as chaos
from local.stepfunctions import tasks
from local.stepfunctions.branches import each_item, parallel
from local.stepfunctions.errors import NO_CHOICE, QUERY_EVALUATION, TIMEOUT, Interrupted, StateFailed
from local.stepfunctions.history import data, dumps, now
from local.stepfunctions.scope import Scope
from local.stepfunctions.tasks.resource import Resource
from local.stepfunctions.tasks.resource import parse as parse_resource
from local.stepfunctions.visit import Step, Visit

ABORTABLE = frozenset({"Task", "Wait", "Parallel", "Map"})  # the types whose states can end with "...StateAborted"


def run(visit: Visit) -> Step:
    """Do what a state says and return what comes next.

    Raises:
        StateFailed: it failed, and nothing in it caught that.
        Interrupted: the flow must end.
    """
    kind, trail = visit.state["Type"], visit.flow.trail
    visit.entered = trail.add(f"{kind}StateEntered", {"name": visit.name, **data("input", visit.value)})
    try:
        chaos.enter(visit)
        following, output = _KINDS[kind](visit)
    except StateFailed as failure:
        raise visit.located(failure) from failure
    except Interrupted:
        if kind in ABORTABLE:
            trail.add(f"{kind}StateAborted")
        raise
    trail.add(f"{kind}StateExited", visit.exit_details(output))
    return following, output


def _pass(visit: Visit) -> Step:
    return visit.state.get("Next"), visit.settle(visit.state, visit.value)


def _succeed(visit: Visit) -> Step:
    return None, visit.settle(visit.state, visit.value)


def _fail(visit: Visit) -> Step:
    error, cause = (visit.fill(visit.state.get(field, ""), field) for field in ("Error", "Cause"))
    for field, text in (("Error", error), ("Cause", cause)):
        if not isinstance(text, str):
            raise StateFailed(
                QUERY_EVALUATION, f"The field '{field}' must be a string, but was {dumps(text)}", location=field
            )
    raise StateFailed(error, cause)


def _wait(visit: Visit) -> Step:
    asked = _until(visit) if "Timestamp" in visit.state else visit.seconds("Seconds") or 0
    visit.flow.scope.sleep(visit.flow.world.cloud.clock.seconds(asked))
    return visit.state.get("Next"), visit.settle(visit.state, visit.value)


def _until(visit: Visit) -> float:
    text = visit.fill(visit.state["Timestamp"], "Timestamp")
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
    except (TypeError, ValueError) as error:
        cause = f"The field 'Timestamp' must be an ISO 8601 time such as 2026-01-31T12:00:00Z, but was {dumps(text)}"
        raise StateFailed(QUERY_EVALUATION, f"{cause}: {error}", location="Timestamp") from error
    return max(0.0, (moment - now()).total_seconds())


def _choice(visit: Visit) -> Step:
    for index, rule in enumerate(visit.state["Choices"]):
        field = f"Choices[{index}]/Condition"
        met = visit.fill(rule["Condition"], field)
        if not isinstance(met, bool):
            cause = f"The field '{field}' must be a boolean, but was {dumps(met)}"
            raise StateFailed(QUERY_EVALUATION, cause, location=field)
        if met:
            return rule["Next"], visit.settle(rule, visit.value)
    if "Default" not in visit.state:
        raise StateFailed(NO_CHOICE, f"State '{visit.name}' has no rule that matches, and no Default")
    return visit.state["Default"], visit.settle(visit.state, visit.value)


def _task(visit: Visit) -> Step:
    return visit.guarded(lambda: _attempt_task(visit))


def _attempt_task(visit: Visit) -> Any:
    resource = parse_resource(visit.state["Resource"])
    world, trail = visit.flow.world, visit.flow.trail
    waits, machine = resource.pattern == "waitForTaskToken", world.context["StateMachine"]["Id"]
    visit.callback = world.callbacks.create(machine) if waits else None
    arguments = visit.fill(visit.state.get("Arguments"), "Arguments")
    timeout, heartbeat = visit.seconds("TimeoutSeconds"), visit.seconds("HeartbeatSeconds")
    fields = resource.event_fields
    limits = {"timeoutInSeconds": timeout, "heartbeatInSeconds": heartbeat}
    region = world.context["Execution"]["Id"].split(":")[3]
    trail.add("TaskScheduled", {**fields, "region": region, "parameters": dumps(arguments), **limits})
    trail.add("TaskStarted", fields)
    task = tasks.Task(
        resource=resource,
        arguments=arguments,
        context=visit.context,
        scope=_task_scope(visit, resource, timeout),
        trail=trail,
        cloud=world.cloud,
        callback=visit.callback,
        heartbeat=None if heartbeat is None else world.cloud.clock.seconds(heartbeat),
    )

    def work() -> Any:
        result = tasks.run(task)
        task.scope.check()  # an answer that comes too late is none
        return result

    return _record_end(visit, resource, work)


def _task_scope(visit: Visit, resource: Resource, timeout: float | None) -> Scope:
    """A time-out bounds real work in real seconds; only a wait for a token is scaled with the clock."""
    seconds = timeout
    if timeout is not None and not resource.works:
        seconds = visit.flow.world.cloud.clock.seconds(timeout)
    seconds = chaos.seconds(visit, seconds)
    return Scope(parent=visit.flow.scope, seconds=seconds, expired=lambda: StateFailed(TIMEOUT, ""))


def _record_end(visit: Visit, resource: Resource, work: Callable[[], Any]) -> Any:
    trail, fields = visit.flow.trail, resource.event_fields
    try:
        result = chaos.result(visit, work())
        visit.check_size(result)
    except StateFailed as failure:
        kind = "TaskTimedOut" if failure.error == TIMEOUT else "TaskFailed"
        trail.add(kind, {**fields, "error": failure.error, "cause": failure.cause})
        raise
    finally:
        visit.callback = None
    trail.add("TaskSucceeded", {**fields, **data("output", result)})
    return result


_KINDS: dict[str, Callable[[Visit], Step]] = {
    "Task": _task,
    "Pass": _pass,
    "Choice": _choice,
    "Wait": _wait,
    "Succeed": _succeed,
    "Fail": _fail,
    "Parallel": parallel,
    "Map": each_item,
}
