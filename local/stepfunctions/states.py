"""What each type of state does when it is entered.

"Amazon States Language", JSONata form: a state's Assign and Output are both
evaluated with the variables as they were, then both take effect.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.stepfunctions import tasks
from local.stepfunctions.branches import run_together
from local.stepfunctions.errors import (
    BRANCH_FAILED,
    DATA_LIMIT,
    NO_CHOICE,
    QUERY_EVALUATION,
    RUNTIME,
    TIMEOUT,
    Interrupted,
    StateFailed,
)
from local.stepfunctions.history import data, dumps, iso, now
from local.stepfunctions.jsonata import fill
from local.stepfunctions.retry import Retries, first_match
from local.stepfunctions.scope import Scope
from local.stepfunctions.tasks.resource import Resource
from local.stepfunctions.tasks.resource import parse as parse_resource

if TYPE_CHECKING:
    from local.stepfunctions.callbacks import Callback
    from local.stepfunctions.flow import Flow

MAX_BYTES = 256 * 1024  # of a state's input, output or result
INLINE_CONCURRENCY = 40
ABORTABLE = frozenset({"Task", "Wait", "Parallel", "Map"})  # the types whose states can end with "...StateAborted"

Step = tuple[str | None, Any]  # the next state (None: the flow ends) and its input


class Visit:
    """One entering of one state.

    Args:
        flow: the flow it belongs to.
        name: the state's name.
        state: its definition.
        value: its input.
    """

    def __init__(self, flow: Flow, name: str, state: Mapping[str, Any], value: Any) -> None:
        self.flow, self.name, self.state, self.value = flow, name, state, value
        self.entered = 0
        self.assigned: dict[str, Any] = {}
        self.callback: Callback | None = None
        self._state_context: dict[str, Any] = {"EnteredTime": iso(now()), "Name": name, "RetryCount": 0}

    def run(self) -> Step:
        """Do what the state says and return what comes next.

        Raises:
            StateFailed: it failed, and nothing in it caught that.
        """
        kind = self.state["Type"]
        self.entered = self.flow.trail.add(f"{kind}StateEntered", {"name": self.name, **data("input", self.value)})
        try:
            following, output = _KINDS[kind](self)
        except StateFailed as failure:
            raise self.located(failure) from failure
        except Interrupted:
            if kind in ABORTABLE:
                self.flow.trail.add(f"{kind}StateAborted")
            raise
        self.flow.trail.add(f"{kind}StateExited", self._exit_details(output))
        return following, output

    @property
    def context(self) -> dict[str, Any]:
        """The context object, as ``$states.context`` shows it now."""
        context = {**self.flow.world.context, "State": self._state_context}
        if self.callback is not None:
            context["Task"] = {"Token": self.callback.token}
        if self.flow.map_context is not None:
            context["Map"] = self.flow.map_context
        return context

    def fill(self, template: Any, field: str, **extra: Any) -> Any:
        """Evaluate a field with the flow's variables and ``$states``, to which ``extra`` is added."""
        states = {"input": self.value, "context": self.context, **extra}
        return fill(template, field, {**self.flow.visible, "states": states})

    def settle(self, source: Mapping[str, Any], default: Any, **extra: Any) -> Any:
        """Evaluate Assign and Output of a state, choice rule or catcher; commit and return the output."""
        assigned = {
            name: self.fill(value, f"Assign/{name}", **extra) for name, value in source.get("Assign", {}).items()
        }
        output = self.fill(source["Output"], "Output", **extra) if "Output" in source else default
        self.check_size(output)
        self.flow.variables.update(assigned)
        self.assigned.update(assigned)
        return output

    def seconds(self, field: str) -> float | None:
        """Return a field that holds seconds (a number or an expression); None where it is missing."""
        if field not in self.state:
            return None
        value = self.fill(self.state[field], field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise StateFailed(
                QUERY_EVALUATION,
                f"The field '{field}' must be a number of seconds, but was {dumps(value)}",
                location=field,
            )
        return value

    def guarded(self, attempt: Callable[[], Any]) -> Step:
        """Run what a Task, Parallel or Map does, with its Retry and Catch."""
        retries = Retries(self.state.get("Retry", []))
        while True:
            try:
                result = attempt()
                return self.state.get("Next"), self.settle(self.state, result, result=result)
            except StateFailed as raised:
                failure = self.located(raised)
            wait = retries.delay(failure)
            if wait is None:
                return self._caught(failure)
            self.flow.scope.sleep(self.flow.world.clock.seconds(wait))
            self._state_context["RetryCount"] = retries.count

    def _caught(self, failure: StateFailed) -> Step:
        catcher = first_match(self.state.get("Catch", []), failure)
        if catcher is None:
            raise failure
        return catcher["Next"], self.settle(catcher, failure.output, errorOutput=failure.output)

    def check_size(self, value: Any) -> None:
        """Refuse a payload that is too large."""
        if len(dumps(value).encode()) > MAX_BYTES:
            cause = "returned a result with a size exceeding the maximum number of bytes service limit."
            raise StateFailed(DATA_LIMIT, f"The state/task '{self.name}' {cause}")

    def located(self, failure: StateFailed) -> StateFailed:
        """Say in the cause of an evaluation or runtime error where it happened, once, and record it."""
        prefix = "An error occurred while executing the state"
        if failure.error not in (RUNTIME, QUERY_EVALUATION) or failure.cause.startswith(prefix):
            return failure
        cause = f"{prefix} '{self.name}' (entered at the event id #{self.entered}). {failure.cause}"
        if failure.error == QUERY_EVALUATION:
            details = {"error": failure.error, "cause": cause, "location": failure.location, "state": self.name}
            self.flow.trail.add("EvaluationFailed", details)
        return StateFailed(failure.error, cause, also=failure.also, location=failure.location)

    def _exit_details(self, output: Any) -> dict[str, Any]:
        details = {"name": self.name, **data("output", output)}
        if self.assigned:
            details["assignedVariables"] = {name: dumps(value) for name, value in self.assigned.items()}
            details["assignedVariablesDetails"] = {"truncated": False}
        return details


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
    visit.flow.scope.sleep(visit.flow.world.clock.seconds(asked))
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
    visit.callback = world.callbacks.create() if resource.pattern == "waitForTaskToken" else None
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
        clients=world.clients,
        clock=world.clock,
        callback=visit.callback,
        heartbeat=None if heartbeat is None else world.clock.seconds(heartbeat),
    )
    return _record_end(visit, resource, lambda: tasks.run(task))


def _task_scope(visit: Visit, resource: Resource, timeout: float | None) -> Scope:
    """A time-out bounds real work in real seconds; only a wait for a token is scaled with the clock."""
    seconds = timeout
    if timeout is not None and not resource.works:
        seconds = visit.flow.world.clock.seconds(timeout)
    return Scope(parent=visit.flow.scope, seconds=seconds, expired=lambda: StateFailed(TIMEOUT, ""))


def _record_end(visit: Visit, resource: Resource, work: Callable[[], Any]) -> Any:
    trail, fields = visit.flow.trail, resource.event_fields
    try:
        result = work()
        visit.check_size(result)
    except StateFailed as failure:
        kind = "TaskTimedOut" if failure.error == TIMEOUT else "TaskFailed"
        trail.add(kind, {**fields, "error": failure.error, "cause": failure.cause})
        raise
    finally:
        visit.callback = None
    trail.add("TaskSucceeded", {**fields, **data("output", result)})
    return result


def _parallel(visit: Visit) -> Step:
    def attempt() -> Any:
        value = visit.fill(visit.state["Arguments"], "Arguments") if "Arguments" in visit.state else visit.value
        visit.flow.trail.add("ParallelStateStarted")
        branches = [_branch(visit, branch, value) for branch in visit.state["Branches"]]
        return _together(visit, branches, len(branches))

    return visit.guarded(attempt)


def _branch(visit: Visit, definition: Mapping[str, Any], value: Any) -> Callable[[Scope], Any]:
    trail = visit.flow.trail.branch()
    return lambda scope: visit.flow.inner(definition, scope, trail).run(value)


def _map(visit: Visit) -> Step:
    def attempt() -> Any:
        items = visit.fill(visit.state["Items"], "Items") if "Items" in visit.state else visit.value
        if not isinstance(items, list):
            raise StateFailed(
                QUERY_EVALUATION, f"The field 'Items' must be an array, but was {dumps(items)}", location="Items"
            )
        visit.flow.trail.add("MapStateStarted", {"length": len(items)})
        limit = visit.seconds("MaxConcurrency") or INLINE_CONCURRENCY
        iterations = [_iteration(visit, index, item) for index, item in enumerate(items)]
        return _together(visit, iterations, int(limit))

    return visit.guarded(attempt)


def _iteration(visit: Visit, index: int, item: Any) -> Callable[[Scope], Any]:
    trail, flow = visit.flow.trail.branch(), visit.flow
    details = {"name": visit.name, "index": index}
    map_context = {"Item": {"Index": index, "Value": item}}

    def run(scope: Scope) -> Any:
        trail.add("MapIterationStarted", details)
        value = item
        if "ItemSelector" in visit.state:
            value = visit.fill(
                visit.state["ItemSelector"], "ItemSelector", context={**visit.context, "Map": map_context}
            )
        try:
            output = flow.inner(visit.state["ItemProcessor"], scope, trail, map_context).run(value)
        except Interrupted:
            trail.add("MapIterationAborted", details)
            raise
        except StateFailed:
            trail.add("MapIterationFailed", details)
            raise
        trail.add("MapIterationSucceeded", details)
        return output

    return run


def _together(visit: Visit, branches: list[Callable[[Scope], Any]], limit: int) -> list[Any]:
    kind, trail = visit.state["Type"], visit.flow.trail
    try:
        results = run_together(visit.flow.scope, branches, limit)
    except StateFailed as failure:
        trail.add(f"{kind}StateFailed")
        raise StateFailed(failure.error, failure.cause, also=failure.also | {BRANCH_FAILED}) from failure
    trail.add(f"{kind}StateSucceeded")
    visit.check_size(results)
    return results


_KINDS: dict[str, Callable[[Visit], Step]] = {
    "Task": _task,
    "Pass": _pass,
    "Choice": _choice,
    "Wait": _wait,
    "Succeed": _succeed,
    "Fail": _fail,
    "Parallel": _parallel,
    "Map": _map,
}
