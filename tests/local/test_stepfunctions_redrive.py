"""A redrive goes on as "Restarting state machine executions with redrive" (developer guide) says."""

from __future__ import annotations

import collections
import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.stepfunctions.backend import LaptopStepFunctions
from local.stepfunctions.execution import REDRIVABLE, Execution
from tests.local.machines import Ended, create, ended, start


def read(bucket: str, **fields: Any) -> dict[str, Any]:
    """A task that fails until the bucket has an object."""
    arguments = {"Bucket": bucket, "Key": "k"}
    return {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject", "Arguments": arguments, **fields}


def put(cloud: Cloud, bucket: str) -> None:
    cloud.client("s3").create_bucket(Bucket=bucket)
    cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"here")


def entered(end: Ended) -> collections.Counter[str]:
    return collections.Counter(
        event["stateEnteredEventDetails"]["name"] for event in end.history if "stateEnteredEventDetails" in event
    )


def redriven(cloud: Cloud, execution: str) -> Ended:
    cloud.client("stepfunctions").redrive_execution(executionArn=execution)
    return ended(cloud, execution)


def test_a_parallel_reruns_its_failed_branches_from_the_state_that_failed(cloud: Cloud) -> None:
    whole = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "Output": "{% $uuid() %}", "End": True}}}
    told = {"body": "{% $states.result.Body %}", "word": "{% $word %}"}
    broken = {
        "StartAt": "Begin",
        "States": {
            "Begin": {"Type": "Pass", "Assign": {"word": "{% $uuid() %}"}, "Next": "Read"},
            "Read": read("redriven-parallel", Output=told, End=True),
        },
    }
    execution = start(cloud, create(cloud, {"Both": {"Type": "Parallel", "Branches": [whole, broken], "End": True}}))
    assert ended(cloud, execution).status == "FAILED"
    assert redriven(cloud, execution).status == "FAILED"
    put(cloud, "redriven-parallel")
    end = redriven(cloud, execution)
    assert (end.status, end.output[1]["body"]) == ("SUCCEEDED", "here")
    assert end.output[1]["word"] in str(end.events("PassStateExited"))
    assert end.output[0] in str(end.events("PassStateExited"))
    assert entered(end) == {"Both": 3, "Done": 1, "Begin": 1, "Read": 3}
    assert end.described["redriveCount"] == 2


def test_a_map_reruns_its_failed_iterations_alone(cloud: Cloud) -> None:
    item = {
        "StartAt": "Begin",
        "States": {
            "Begin": {"Type": "Pass", "Next": "Read"},
            "Read": read("{% $states.input %}", Output="{% $states.result.Body & $states.input %}", End=True),
        },
    }
    states = {
        "Each": {
            "Type": "Map", "Items": ["redriven-map-1", "redriven-map-2", "redriven-map-3"], "MaxConcurrency": 1,
            "ItemProcessor": item, "End": True,
        }
    }  # fmt: skip
    put(cloud, "redriven-map-1")
    execution = start(cloud, create(cloud, states))
    assert ended(cloud, execution).status == "FAILED"
    put(cloud, "redriven-map-2")
    put(cloud, "redriven-map-3")
    end = redriven(cloud, execution)
    assert end.output == ["hereredriven-map-1", "hereredriven-map-2", "hereredriven-map-3"]
    assert entered(end) == {"Each": 2, "Begin": 3, "Read": 4}


def test_a_state_that_failed_although_its_branches_succeeded_reruns_all(cloud: Cloud) -> None:
    large = {"Type": "Pass", "Output": "{% $pad('', 200000, '#') %}", "End": True}
    branches = [{"StartAt": name, "States": {name: large}} for name in ("One", "Two")]
    execution = start(cloud, create(cloud, {"Both": {"Type": "Parallel", "Branches": branches, "End": True}}))
    assert ended(cloud, execution).failure[0] == "States.DataLimitExceeded"
    assert entered(redriven(cloud, execution)) == {"Both": 2, "One": 2, "Two": 2}


def test_a_retried_state_begins_all_its_branches_again(cloud: Cloud) -> None:
    whole = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
    broken = {"StartAt": "Read", "States": {"Read": read("redriven-never", End=True)}}
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 1}]
    both = {"Type": "Parallel", "Branches": [whole, broken], "Retry": retry, "End": True}
    execution = start(cloud, create(cloud, {"Both": both}))
    assert entered(ended(cloud, execution)) == {"Both": 1, "Done": 2, "Read": 2}
    # The redrive's first attempt is the rest; the retry after it is whole again. Attempts are counted afresh.
    assert entered(redriven(cloud, execution)) == {"Both": 2, "Done": 3, "Read": 4}


def test_a_nested_execution_that_failed_is_started_anew(cloud: Cloud) -> None:
    child = create(cloud, {"Read": read("redriven-child", End=True)})
    name = "{% 'child-' & $string($states.context.Execution.RedriveCount) %}"
    arguments = {"StateMachineArn": child, "Name": name}
    nested = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": arguments}
    execution = start(cloud, create(cloud, {"Nested": {**nested, "End": True}}))
    assert ended(cloud, execution).status == "FAILED"
    put(cloud, "redriven-child")
    assert redriven(cloud, execution).status == "SUCCEEDED"
    listed = cloud.client("stepfunctions").list_executions(stateMachineArn=child)["executions"]
    assert {(each["name"], each["status"], each["redriveCount"]) for each in listed} == {
        ("child-0", "FAILED", 0),
        ("child-1", "SUCCEEDED", 0),
    }


@pytest.mark.parametrize(
    ("status", "states", "days", "reason"),
    [
        ("SUCCEEDED", {"Done": {"Type": "Succeed"}}, 0, "Execution is SUCCEEDED and cannot be redriven"),
        ("FAILED", {"Break": {"Type": "Fail"}}, 15, "Execution redrivable period exceeded"),
    ],
)
def test_what_cannot_be_redriven_says_why(
    cloud: Cloud, status: str, states: dict[str, Any], days: int, reason: str
) -> None:
    sfn, execution = cloud.client("stepfunctions"), start(cloud, create(cloud, states))
    assert ended(cloud, execution).status == status
    ago = datetime.timedelta(days=days)
    known(cloud, execution).stop_date = datetime.datetime.now(datetime.UTC) - ago
    described = sfn.describe_execution(executionArn=execution)
    assert (described["redriveStatus"], described["redriveStatusReason"]) == ("NOT_REDRIVABLE", reason)
    with pytest.raises(ClientError, match=reason) as refused:
        sfn.redrive_execution(executionArn=execution)
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"
    assert REDRIVABLE.days == 14


def known(cloud: Cloud, execution: str) -> Execution:
    from moto.stepfunctions.models import stepfunctions_backends

    backend = stepfunctions_backends[cloud.account][cloud.region]
    assert isinstance(backend, LaptopStepFunctions)
    return backend.describe_execution(execution)
