"""The state machines as texts: names, order, time-outs, retries, catches."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import Any

import pytest

from contract import attempts
from functions.asl import CREATES_JOB
from infra import asl
from infra.asl import targets
from infra.steps.prepare import OUTGROWN
from tests.infra.test_arguments import evaluate

States = dict[str, dict[str, Any]]
RUN = [
    "Accept request", "Is request accepted?", "Is upload small?", "Prepare dataset", "Prepare large dataset",
    "Read dataset report", "Is dataset accepted?", "Plan compute", "Is plan within budget?", "Wait for machines",
    "Is a search wanted?",
    "Tune", "Tune from earlier search", "Tune recipes", "Wait for search", "Describe search", "Is search over?",
    "Stop search", "Choose best model", "Did the search find a model?",
    "Is capacity missing for the search?", "Fail search", "Use spot?",
    "Train on spot", "Is capacity missing?", "Did spot training finish?", "Train on demand", "Did training finish?",
    "Fail training", "Stop training", "Check artefact", "Is it a script's model?", "Judge script",
    "Is the script's model better?", "Register script", "Find champion", "Evaluate", "Read evaluation report",
    "Gate", "Find serving image", "Build serving image", "Register model", "Is approval wanted?", "Approve",
    "Is version approved?", "Expire approval", "Deploy", "Is model deployed?", "Champion keeps changing", "Settle run",
]  # fmt: skip
DEPLOYMENT = [
    "Take lease", "Plan deployment", "Is champion as evaluated?", "Which target?", "Make function version",
    "Check version's golden samples", "Shift traffic", "Is all traffic shifted?", "Watch version",
    "Make function champion", "Take traffic back",
    "Write golden requests", "Create transform model", "Answer golden requests", "Are they answered?",
    "Check golden answers", "Is it for the edge?", "Make bundle", "Make champion without endpoint", "Create model",
    "Create endpoint configuration", "Create staging configuration", "Create staging endpoint", "Wait for staging",
    "Describe staging", "Is staging in service?", "Check golden samples", "Delete staging endpoint", "Create alarms",
    "Is there an endpoint?", "Create endpoint", "Stop scaling", "Look at live endpoint", "Is live endpoint steady?",
    "Let scaling end", "Begin in the shadow?", "Create shadow configuration",
    "Put into the shadow", "Wait for shadow", "Describe shadow", "Is shadow in service?", "Watch shadow",
    "Look at shadow's alarms", "Is shadow quiet?", "Update endpoint", "Wait for endpoint", "Describe endpoint",
    "Is endpoint in service?", "Scale endpoint", "Is it an A/B test?", "Watch challenger",
    "Look at challenger's alarms", "Is challenger quiet?", "Name challenger", "Switch champion", "Was it made before?",
    "Is there a version to restore?", "Restore endpoint", "Delete failed endpoint", "Put endpoint back",
    "Tidy up", "Scale as before", "Release lease",
    "How did it end?", "Deployed", "Champion changed", "Deployment failed", "Lease is held",
]  # fmt: skip


@pytest.fixture(params=["run", "deployment", "batch", "sleep"])
def states(request: pytest.FixtureRequest) -> States:
    return request.getfixturevalue(f"{request.param}_states")


def of_type(states: States, kind: str) -> States:
    return {name: state for name, state in states.items() if state["Type"] == kind}


def test_the_run_is_told_in_the_order_of_the_design(run_states: States) -> None:
    assert list(run_states) == RUN


def test_the_deployment_is_told_in_the_order_of_the_design(deployment_states: States) -> None:
    assert list(deployment_states) == DEPLOYMENT


def test_sleep_is_told_in_the_order_of_a_night(sleep_states: States) -> None:
    assert list(sleep_states) == [
        "Take lease", "Plan sleep", "What is to be done?", "Delete endpoint", "Note that it sleeps", "Create endpoint",
        "Was it made before?", "Wait for endpoint", "Describe endpoint", "Is endpoint in service?", "Scale endpoint",
        "Note that it is awake", "Release lease", "How did it end?", "As wanted", "Sleep failed", "Lease is held",
    ]  # fmt: skip


def test_every_task_has_a_timeout_and_retries_with_jitter(states: States) -> None:
    for name, state in of_type(states, "Task").items():
        assert state["TimeoutSeconds"], name
        assert state["Retry"], name
        for rule in state["Retry"]:
            assert rule["JitterStrategy"] == "FULL", name
            assert rule["MaxDelaySeconds"] > rule["IntervalSeconds"], name
            assert not {"States.ALL", "States.TaskFailed"} & set(rule["ErrorEquals"]), f"{name} retries anything"


def test_every_choice_has_a_default_and_leads_to_states_that_exist(states: States) -> None:
    for name, state in of_type(states, "Choice").items():
        assert state["Default"] in states, name
        assert set(targets(state)) <= set(states), name


def test_a_run_catches_only_what_has_a_remedy(run_states: States) -> None:
    catching = {name: [rule["ErrorEquals"] for rule in s["Catch"]] for name, s in run_states.items() if "Catch" in s}
    assert catching == {
        "Prepare dataset": [list(OUTGROWN)],
        "Tune": [["States.TaskFailed"]],
        "Tune from earlier search": [["States.TaskFailed"]],
        "Tune recipes": [["States.TaskFailed"]],
        "Stop search": [["SageMaker.SageMakerException"]],
        "Train on spot": [["States.TaskFailed"]],
        "Find serving image": [["Ecr.ImageNotFoundException"]],
        "Approve": [["States.Timeout"]],
    }


@pytest.mark.parametrize("machine", ["deployment", "sleep"])
def test_the_lease_is_given_back_whatever_fails_after_taking_it(request: pytest.FixtureRequest, machine: str) -> None:
    deployment_states: States = request.getfixturevalue(f"{machine}_states")
    calls = of_type(deployment_states, "Task") | of_type(deployment_states, "Map")
    for name, state in calls.items():
        if name in ("Take lease", "Release lease"):
            continue
        everything = [rule for rule in state["Catch"] if rule["ErrorEquals"] == ["States.ALL"]]
        assert everything, name
        assert leads_to(deployment_states, everything[0]["Next"], "Release lease"), name


@pytest.mark.parametrize(
    "state",
    ["Create endpoint configuration", "Check golden samples", "Create alarms", "Stop scaling", "Scale endpoint",
     "Create endpoint", "Describe staging",
     "Put into the shadow", "Look at shadow's alarms", "Update endpoint", "Name challenger", "Switch champion"],
)  # fmt: skip
def test_a_deployment_tidies_up_whatever_fails_after_it_made_something(deployment_states: States, state: str) -> None:
    for rule in deployment_states[state]["Catch"]:
        assert leads_to(deployment_states, rule["Next"], "Tidy up")


def test_an_update_whose_answer_was_lost_is_looked_at_and_not_asked_for_twice(deployment_states: States) -> None:
    update = deployment_states["Update endpoint"]
    lost = {"States.Timeout", "SageMaker.SdkClientException"}
    assert not lost & {error for rule in update["Retry"] for error in rule["ErrorEquals"]}
    assert (set(update["Catch"][0]["ErrorEquals"]), update["Catch"][0]["Next"]) == (lost, "Wait for endpoint")


def test_a_job_whose_creation_nobody_heard_of_is_not_made_twice(
    run_states: States, deployment_states: States, batch_states: States
) -> None:
    tasks = chain.from_iterable(of_type(each, "Task").items() for each in (run_states, deployment_states, batch_states))
    makers = {name: state for name, state in tasks if CREATES_JOB.search(state["Resource"])}
    assert len(makers) >= 7
    retried = {name: {e for rule in state["Retry"] for e in rule["ErrorEquals"]} for name, state in makers.items()}
    assert not [name for name, errors in retried.items() if errors & {"SageMaker.SdkClientException", "States.ALL"}]


def leads_to(states: States, start: str, goal: str) -> bool:
    """Say whether every way from ``start`` passes ``goal``, looking at transitions other than loops."""
    open_, seen = [start], set()
    while open_:
        name = open_.pop()
        if name == goal or name in seen:
            continue
        seen.add(name)
        following = list(targets(states[name]))
        if not following:
            return False
        open_ += following
    return True


def test_only_the_true_cause_ends_a_failed_deployment(deployment_states: States) -> None:
    assert deployment_states["Deployment failed"]["Cause"] == "{% $failure.cause %}"
    for name in ("Delete failed endpoint", "Delete staging endpoint", "Tidy up", "Release lease"):
        assert all("failure" not in rule.get("Assign", {}) for rule in deployment_states[name]["Catch"]), name
    for name in ("Restore endpoint", "Put endpoint back"):
        (rule,) = deployment_states[name]["Catch"]
        known = {"failure": {"error": "Slow", "cause": "An alarm"}, "states": {"errorOutput": {"Cause": "Busy"}}}
        cause = "Slow: An alarm; the champion could not be put back: Busy"
        assert evaluate(rule["Assign"]["failure"], known) == {"error": "ChampionNotBack", "cause": cause}, name


def test_every_variable_is_assigned_before_any_state_can_read_it(states: States) -> None:
    """Variables that a state reads are assigned by some state before it, on the way that the story tells."""
    assigned: set[str] = set()
    for name, state in states.items():
        own = set(re.findall(r"function\((.*?)\)", json.dumps(state)))
        local = {argument.strip().lstrip("$") for arguments in own for argument in arguments.split(",")}
        local |= set(re.findall(r"\$(\w+) :=", json.dumps(state)))
        read = variables(state) - local
        # Rules run after the state's own work, and a state's Assign sees the old values only.
        assert read <= assigned, f"{name} reads {read - assigned}"
        for source in (state, *state.get("Choices", ()), *state.get("Catch", ())):
            assigned |= set(source.get("Assign", {}))


FUNCTIONS = {
    "error", "hash", "lookup", "lowercase", "not", "substring", "encodeUrlComponent",
    "append", "ceil", "contains", "count", "each", "exists", "filter", "floor", "join", "map", "max", "merge", "millis",
    "min", "now", "number", "parse", "replace", "split", "string", "substringAfter", "type",
}  # fmt: skip


def variables(state: dict[str, Any]) -> set[str]:
    expressions = re.findall(r"\{% (.*?) %\}", json.dumps(state))
    codes = [
        re.sub(r'"(?:[^"\\]|\\.)*"', "", json.loads(f'"{text}"')) for text in expressions
    ]  # a literal reads nothing
    names = {name for text in codes for name in re.findall(r"\$([a-z_]+[A-Za-z_]*)", text)}
    return names - FUNCTIONS - {"states"}


def test_no_literal_null_is_left_for_cdk_to_drop(states: States) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(nulls, value.values()))
        return any(map(nulls, value)) if isinstance(value, list) else value is None

    assert [name for name, state in states.items() if nulls(state)] == []


def test_evaluation_is_repeated_only_as_often_as_the_plan_prices(run_states: States) -> None:
    again = next(rule for rule in run_states["Is model deployed?"]["Choices"] if rule["Next"] == "Find champion")
    assert again["Condition"] == f"{{% $evaluations < {attempts.EVALUATIONS} %}}"


def test_a_state_machine_with_a_dangling_transition_is_refused() -> None:
    with pytest.raises(ValueError, match="no such states: \\['B'\\]"):
        asl.machine(comment="", timeout_seconds=1, states={"A": asl.wait(1, then="B")})


def test_a_state_machine_with_an_unreachable_state_is_refused() -> None:
    states = {"A": asl.wait(1, then="A"), "B": asl.wait(1, then="A")}
    with pytest.raises(ValueError, match="no transition reaches \\['B'\\]"):
        asl.machine(comment="", timeout_seconds=1, states=states)


def test_functions_decide_and_never_only_forward(run_states: States, deployment_states: States) -> None:
    """A state that only calls one AWS API does so itself; a function is there where something is decided."""
    called = [
        name
        for name, state in chain(run_states.items(), deployment_states.items())
        if state.get("Resource") == "arn:aws:states:::lambda:invoke"
    ]
    assert sorted(called) == [
        "Accept request", "Check golden answers", "Check golden samples", "Check version's golden samples",
        "Choose best model", "Fail search", "Fail training", "Judge script", "Make bundle", "Make function version",
        "Plan compute", "Plan deployment", "Prepare dataset", "Register model", "Register script", "Settle run",
        "Shift traffic", "Stop training", "Take traffic back", "Tidy up", "Write golden requests",
    ]  # fmt: skip
