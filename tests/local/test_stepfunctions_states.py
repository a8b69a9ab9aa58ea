"""States behave as the Amazon States Language says, in JSONata mode."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.cloud import Cloud
from tests.local.conftest import Vanilla
from tests.local.machines import Endpoint, create, ended, outcome, run, start

MISSING_KEY = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
    "Arguments": {"Bucket": "no-such-bucket-here", "Key": "k"},
}


def test_output_sees_the_variables_as_they_were_before_assign(cloud: Cloud) -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"n": 1}, "Next": "Second"},
        "Second": {
            "Type": "Pass",
            "Assign": {"n": "{% $n + 1 %}", "m": "{% $n %}"},
            "Output": "{% $n %}",
            "Next": "Third",
        },
        "Third": {
            "Type": "Pass",
            "Output": {"before": "{% $states.input %}", "n": "{% $n %}", "m": "{% $m %}"},
            "End": True,
        },
    }
    assert run(cloud, states).output == {"before": 1, "n": 2, "m": 1}


def test_a_rule_to_the_default_state_runs_its_own_assign_only(cloud: Cloud) -> None:
    states = {
        "Decide": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.yes %}", "Next": "Show", "Assign": {"by": "rule"}}],
            "Default": "Show",
            "Assign": {"by": "default"},
        },
        "Show": {"Type": "Pass", "Output": "{% $by %}", "End": True},
    }
    machine = create(cloud, states)
    assert [ended(cloud, start(cloud, machine, {"yes": yes})).output for yes in (True, False)] == ["rule", "default"]


def test_no_rule_and_no_default_is_no_choice_matched(cloud: Cloud) -> None:
    states = {
        "Decide": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "Show"}]},
        "Show": {"Type": "Succeed"},
    }
    assert run(cloud, states).failure[0] == "States.NoChoiceMatched"


def test_an_error_in_output_reaches_catch(cloud: Cloud) -> None:
    states = {
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets",
            "Arguments": {},
            "Output": "{% $states.result.nothing.here %}",
            "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Caught"}],
            "End": True,
        },
        "Caught": {"Type": "Pass", "Output": "{% $states.input.Error %}", "End": True},
    }
    assert run(cloud, states).output == "States.QueryEvaluationError"


def test_catch_sees_the_error_and_assigns(cloud: Cloud) -> None:
    catcher = {
        "ErrorEquals": ["States.TaskFailed"],
        "Assign": {"error": "{% $states.errorOutput.Error %}"},
        "Output": {"cause": "{% $states.errorOutput.Cause %}"},
        "Next": "Show",
    }
    states = {
        "Task": {**MISSING_KEY, "Catch": [catcher], "End": True},
        "Show": {
            "Type": "Pass",
            "Output": {"error": "{% $error %}", "input": "{% $states.input.cause %}"},
            "End": True,
        },
    }
    output = run(cloud, states).output
    assert output["error"] == "S3.NoSuchBucketException"
    assert "The specified bucket does not exist" in output["input"]


@pytest.mark.parametrize("name", ["States.Runtime", "States.DataLimitExceeded"])
def test_states_all_does_not_catch_runtime_and_data_limit(cloud: Cloud, name: str) -> None:
    arguments: Any = "{% [1] %}" if name == "States.Runtime" else {"Payload": 1}
    oversized = {
        "Type": "Parallel",
        "Branches": [
            {
                "StartAt": "Grow",
                "States": {"Grow": {"Type": "Pass", "Output": "{% $pad('', 300000, 'x') %}", "End": True}},
            }
        ],
    }
    unusable = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Arguments": arguments}
    failing = unusable if name == "States.Runtime" else oversized
    states = {
        "Failing": {**failing, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}], "End": True},
        "Caught": {"Type": "Succeed"},
    }
    end = run(cloud, states)
    assert (end.status, end.failure[0]) == ("FAILED", name)


def test_fail_takes_any_error_name(cloud: Cloud) -> None:
    states = {
        "Remember": {"Type": "Pass", "Assign": {"error": "States.TaskFailed"}, "Next": "Fail"},
        "Fail": {"Type": "Fail", "Error": "{% $error %}", "Cause": "{% 'because ' & $states.input.why %}"},
    }
    assert run(cloud, states, {"why": "of me"}).failure == ("States.TaskFailed", "because of me")


def retrying(**retrier: Any) -> dict[str, Any]:
    arguments = {"Bucket": "no-such-bucket-here", "Key": "{% 'k' & $states.context.State.RetryCount %}"}
    return {"Task": {**MISSING_KEY, "Arguments": arguments, "Retry": [retrier], "End": True}}


def test_retries_evaluate_the_arguments_anew_and_count(cloud: Cloud) -> None:
    end = run(cloud, retrying(ErrorEquals=["States.ALL"], IntervalSeconds=1, MaxAttempts=2))
    asked = [event["taskScheduledEventDetails"]["parameters"] for event in end.events("TaskScheduled")]
    assert [text[-4:-2] for text in asked] == ["k0", "k1", "k2"]
    assert end.failure[0] == "S3.NoSuchBucketException"


def test_retries_wait_by_the_clock(cloud: Cloud) -> None:
    end = run(cloud, retrying(ErrorEquals=["States.ALL"], IntervalSeconds=10, BackoffRate=2, MaxAttempts=2))
    first, second, third = (event["timestamp"] for event in end.events("TaskScheduled"))
    assert 0.2 <= (second - first).total_seconds() < 0.4
    assert 0.4 <= (third - second).total_seconds() < 0.8


def test_waits_take_scaled_time(cloud: Cloud) -> None:
    begun = time.monotonic()
    end = run(cloud, {"Wait": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": True}}, {"s": 20})
    assert end.status == "SUCCEEDED"
    assert 0.4 <= time.monotonic() - begun < 3


MAP = {
    "Remember": {"Type": "Pass", "Assign": {"factor": 10}, "Next": "Each"},
    "Each": {
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value %}"},
        "MaxConcurrency": 2,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "Double",
            "States": {
                "Double": {"Type": "Pass", "Assign": {"own": "{% $states.input.v * $factor %}"}, "Next": "Give"},
                "Give": {"Type": "Pass", "Output": "{% $own + $states.input.i %}", "End": True},
            },
        },
        "End": True,
    },
}


def test_map_keeps_order_and_gives_each_iteration_its_own_variables(cloud: Cloud) -> None:
    assert run(cloud, MAP, {"items": [1, 2, 3, 4, 5]}).output == [10, 21, 32, 43, 54]


def test_map_of_nothing_is_nothing(cloud: Cloud) -> None:
    assert run(cloud, MAP, {"items": []}).output == []


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    machines = [{"StartAt": next(iter(states)), "States": states} for states in branches]
    return {"Both": {"Type": "Parallel", "Branches": machines, "End": True, **fields}}


def test_parallel_gives_results_in_order(cloud: Cloud) -> None:
    slow = {"Slow": {"Type": "Wait", "Seconds": 5, "Output": "slow", "End": True}}
    fast = {"Fast": {"Type": "Pass", "Output": "{% $states.input.word %}", "End": True}}
    assert run(cloud, parallel(slow, fast), {"word": "fast"}).output == ["slow", "fast"]


def test_a_failed_branch_cancels_the_others_and_is_the_failure(cloud: Cloud) -> None:
    slow = {"Slow": {"Type": "Wait", "Seconds": 100000, "End": True}}
    failing = {"Fails": {"Type": "Fail", "Error": "Mine", "Cause": "yes"}}
    end = run(cloud, parallel(slow, failing))
    assert end.failure == ("Mine", "yes")
    assert end.events("WaitStateAborted")


def test_context_object(cloud: Cloud) -> None:
    machine = create(cloud, {"Show": {"Type": "Pass", "Output": "{% $states.context %}", "End": True}})
    execution = start(cloud, machine, {"a": 1})
    context = ended(cloud, execution).output
    assert context["Execution"]["Id"] == execution
    assert context["Execution"]["Name"] == execution.rsplit(":", 1)[1]
    assert (context["Execution"]["Input"], context["Execution"]["RedriveCount"]) == ({"a": 1}, 0)
    assert context["Execution"]["StartTime"].endswith("Z")
    assert context["StateMachine"] == {"Id": machine, "Name": machine.rsplit(":", 1)[1]}
    assert (context["State"]["Name"], context["State"]["RetryCount"]) == ("Show", 0)


def test_a_task_times_out_in_real_seconds(cloud: Cloud) -> None:
    inner = create(cloud, {"Wait": {"Type": "Wait", "Seconds": 100000, "End": True}})
    states = {
        "Child": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Arguments": {"StateMachineArn": inner, "Name": "child"},
            "TimeoutSeconds": 1,
            "End": True,
        }
    }
    begun = time.monotonic()
    end = run(cloud, states)
    assert (end.failure[0], end.events("TaskTimedOut") != []) == ("States.Timeout", True)
    assert 1 <= time.monotonic() - begun < 5
    assert ended(cloud, inner.replace("stateMachine", "execution") + ":child").status == "ABORTED"


def test_a_machine_of_waits_times_out_in_scaled_seconds(cloud: Cloud) -> None:
    end = run(cloud, {"Wait": {"Type": "Wait", "Seconds": 100000, "End": True}}, TimeoutSeconds=10)
    assert end.status == "TIMED_OUT"
    assert "stopDate" in end.described


@pytest.mark.parametrize(
    "states",
    [
        MAP,
        retrying(ErrorEquals=["States.ALL"], MaxAttempts=0),
        parallel({"Show": {"Type": "Pass", "Output": "{% 1 %}", "End": True}}),
    ],
    ids=["map", "task", "parallel"],
)
def test_vanilla_moto_does_otherwise(cloud: Cloud, vanilla: Vanilla, states: dict[str, Any]) -> None:
    value = {"items": [1, 2]}
    endpoints: tuple[Endpoint, Endpoint] = (cloud, vanilla)
    ours, theirs = (outcome(endpoint, states, value) for endpoint in endpoints)
    assert ours != theirs
