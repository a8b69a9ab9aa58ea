"""Where an execution stopped, from its history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import histories


def event(kind: str, **details: Any) -> dict[str, Any]:
    name = kind[0].lower() + kind[1:]
    if kind.endswith(("StateEntered", "StateExited")):
        name = "state" + kind[kind.index("State") + 5 :]
    return {"type": kind, f"{name}EventDetails": details} if details else {"type": kind}


def entered(kind: str, name: str, given: Any = None) -> dict[str, Any]:
    return event(f"{kind}StateEntered", name=name, input=json.dumps(given))


def left(kind: str, name: str, **assigned: Any) -> dict[str, Any]:
    values = {variable: json.dumps(value) for variable, value in assigned.items()}
    return event(f"{kind}StateExited", name=name, output="{}", assignedVariables=values)


STARTED = event("ExecutionStarted", input='{"upload": "s3://b/k"}')
FAILED = event("ExecutionFailed", error="Broken", cause="it was")
BEGUN = [STARTED, entered("Pass", "Given"), left("Pass", "Given", run={"id": "r"}, tried=0)]


def test_the_state_that_was_not_left_is_where_it_stopped() -> None:
    events = [
        *BEGUN,
        entered("Choice", "Which?"),
        left("Choice", "Which?", tried=1),
        entered("Task", "Train", {"a": 1}),
    ]
    assert histories.read([*events, event("TaskFailed", error="E"), FAILED]) == histories.Stopped(
        state="Train", input={"a": 1}, variables={"run": {"id": "r"}, "tried": 1},
        execution_input={"upload": "s3://b/k"}, error="Broken", cause="it was",
    )  # fmt: skip


def test_what_happens_inside_a_map_is_the_maps() -> None:
    inside = [entered("Map", "Each", [1]), event("MapStateStarted", length=1), entered("Pass", "Note")]
    stopped = histories.read([*BEGUN, *inside, left("Pass", "Note", tried=7), entered("Task", "Delete", 1), FAILED])
    assert (stopped.state, stopped.input, stopped.variables["tried"]) == ("Each", [1], 0)
    after = [left("Task", "Delete"), left("Map", "Each"), entered("Succeed", "Done")]
    assert histories.read([*BEGUN, *inside, entered("Task", "Delete", 1), *after]).state == "Done"


@pytest.mark.parametrize("again", [True, False], ids=["entered again", "not entered again"])
def test_a_redrive_is_counted_and_forgets_the_end_before(again: bool) -> None:
    events = [*BEGUN, entered("Task", "Train"), FAILED, event("ExecutionRedriven", redriveCount=1)]
    events += [entered("Task", "Train")] * again
    assert histories.read(events).error == ""
    events += [left("Task", "Train", tried=2), entered("Task", "Evaluate")]
    assert [histories.read(events).state, histories.read(events).redrives] == ["Evaluate", 1]
    before = histories.read(histories.before_redrive(events))
    assert (before.state, before.redrives, before.variables["tried"]) == ("Train", 0, 0)


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([*BEGUN, entered("Succeed", "Done"), event("ExecutionSucceeded", output="{}")], "the execution succeeded"),
        (BEGUN, "between two states"),
        ([event("ExecutionStarted", roleArn="r")], "ExecutionStarted has no input"),
        ([STARTED, event("TaskStateEntered", name="A", input="{", inputDetails={"truncated": True})], "no input"),
        ([STARTED, event("TaskStateEntered", name="A", input="{")], "is no JSON"),
        (
            [*BEGUN, event("PassStateExited", name="B", assignedVariablesDetails={"truncated": True})],
            "the variables that 'B' assigned were cut off",
        ),
    ],
)
def test_a_history_that_does_not_tell_says_what_is_missing(events: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(histories.NoPlaceToGoOn, match=says):
        histories.read(events)
