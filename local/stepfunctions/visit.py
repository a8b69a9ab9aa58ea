"""One entering of a state: its expressions, its Assign and Output, its Retry and Catch.

"Amazon States Language", JSONata form: a state's Assign and Output are both
evaluated with the variables as they were, then both take effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.stepfunctions.errors import (
    DATA_LIMIT,
    QUERY_EVALUATION,
    RUNTIME,
    StateFailed,
)
from local.stepfunctions.history import data, dumps, iso, now
from local.stepfunctions.jsonata import fill
from local.stepfunctions.retry import Retries, first_match

if TYPE_CHECKING:
    from local.stepfunctions.callbacks import Callback
    from local.stepfunctions.flow import Flow

MAX_BYTES = 256 * 1024  # of a state's input, output or result

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

    @property
    def retries(self) -> int:
        """Attempts of the state before this one, in this visit."""
        return int(self._state_context["RetryCount"])

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
            self.flow.scope.sleep(self.flow.world.cloud.clock.seconds(wait))
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

    def exit_details(self, output: Any) -> dict[str, Any]:
        """Return the fields of the event that says that the state was left."""
        details = {"name": self.name, **data("output", output)}
        if self.assigned:
            details["assignedVariables"] = {name: dumps(value) for name, value in self.assigned.items()}
            details["assignedVariablesDetails"] = {"truncated": False}
        return details
