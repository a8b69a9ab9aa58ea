"""Where an execution of a state machine stopped, read from its history: the state, its input, the variables.

GetExecutionHistory keeps the input of each state that was entered and, since
variables exist, what each state that was left assigned to them
(``assignedVariables`` of ``...StateExited``, as JSON texts). What Step
Functions cut off or withheld is said to be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.errors import TandemError

CONTAINERS = ("Parallel", "Map")
IMPORT_PATH = "/_aws/executions"
"""Where the laptop cloud takes an execution of another account by its history."""
ENDS = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


class NoPlaceToGoOn(TandemError):
    """A history that does not tell where its execution stopped."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Where an execution stopped, and why.

    Args:
        state: the state that was entered and not left, of the machine itself: of a Parallel or Map the whole.
        input: of that state.
        variables: as they were then.
        execution_input: what the execution was started with.
        redrives: how often it had been redriven.
        error, cause: of its end; empty while it runs.
    """

    state: str
    input: Any
    variables: Mapping[str, Any] = field(default_factory=dict)
    execution_input: Any = None
    redrives: int = 0
    error: str = ""
    cause: str = ""


def before_redrive(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events before the last redrive; all of them where there was none."""
    found = list(events)
    redrives = [place for place, event in enumerate(found) if event["type"] == "ExecutionRedriven"]
    return found[: redrives[-1]] if redrives else found


def read(events: Iterable[Mapping[str, Any]]) -> Stopped:
    """Return where an execution stopped.

    Args:
        events: oldest first, with execution data.

    Raises:
        NoPlaceToGoOn: when it succeeded, ended between two states, or its data is missing.
    """
    place: dict[str, Any] = {}
    found: dict[str, Any] = {"variables": {}, "redrives": 0}
    for event in events:
        kind, details = str(event["type"]), details_of(event)
        inside = place.get("kind") in CONTAINERS and details.get("name") != place["state"]
        if kind == "ExecutionStarted":
            found["execution_input"] = _data(details, "input", kind)
        elif kind == "ExecutionRedriven":
            found |= {"redrives": found["redrives"] + 1, "error": "", "cause": ""}
        elif kind in ENDS:
            found |= {"error": details.get("error") or kind, "cause": details.get("cause") or ""}
        elif kind == "ExecutionSucceeded":
            raise NoPlaceToGoOn("the execution succeeded: nothing of it is left to do")
        elif kind.endswith("StateEntered") and not inside:
            place = {"kind": kind.removesuffix("StateEntered"), "state": details["name"]}
            place["input"] = _data(details, "input", kind)
        elif kind.endswith("StateExited") and not inside:
            found["variables"] |= _assigned(details)
            place = {}
    if not place:
        raise NoPlaceToGoOn("the execution ended between two states, or its history is not whole")
    return Stopped(state=place["state"], input=place["input"], **found)


def details_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event's details: the one member that is named after its type."""
    return next((value for key, value in event.items() if key.endswith("EventDetails") and value), {})


def _data(details: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in details or (details.get(f"{name}Details") or {}).get("truncated"):
        raise NoPlaceToGoOn(f"{kind} has no {name}: the history must have its execution data, whole")
    return _value(details[name], kind)


def _assigned(details: Mapping[str, Any]) -> dict[str, Any]:
    if (details.get("assignedVariablesDetails") or {}).get("truncated"):
        raise NoPlaceToGoOn(f"the variables that {details['name']!r} assigned were cut off in the history")
    return {name: _value(text, name) for name, text in (details.get("assignedVariables") or {}).items()}


def _value(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NoPlaceToGoOn(f"{name}: {text[:80]!r} is no JSON: {error}") from error
