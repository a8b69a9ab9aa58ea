"""Faults strike where, whom and as often as they say, and nobody else."""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from local.chaos import plan, results
from local.chaos.alike import alike
from local.chaos.catalogue import ANY_TASK, CATALOGUE, Place
from local.chaos.faults import (
    AFTER_WRITE,
    ALWAYS,
    AT_END,
    BEFORE_WRITE,
    DeletedObject,
    DeployedDefinition,
    ExhaustedFunction,
    KilledFunction,
    LateEvent,
    LostAnswer,
    LostCall,
    LostEvent,
    MissingCapacity,
    OversizedResult,
    OverwrittenObject,
    RefusedCall,
    RepeatedEvent,
    StoppedExecution,
    TimedOutFunction,
    TimedOutState,
)
from local.chaos.lab import LAB, Lab
from local.chaos.site import Site, Stuck
from local.chaos.ways import UNREACHED
from local.cloud import Cloud
from tests.local.functions import Function, eventually, queue, received
from tests.local.machines import create, ended, run, start

UNREACHED_STATE = "Stop search"
WRITER = """
import boto3
def handler(event, context):
    s3 = boto3.client("s3")
    s3.list_objects_v2(Bucket=event["bucket"])
    s3.put_object(Bucket=event["bucket"], Key="first", Body=b"1")
    s3.put_object(Bucket=event["bucket"], Key="second", Body=b"2")
    return "done"
"""


def test_a_fault_strikes_from_its_nth_time_as_often_as_it_says() -> None:
    lab = Lab()
    with lab.inject(MissingCapacity(job="a-*", nth=2, times=2)) as (waiting,):
        jobs = ["a-1", "b-1", "a-2", "a-3", "a-4"]
        struck = [job for job in jobs if lab.take(MissingCapacity, job=job, instance="ml.m5.large")]
    assert struck == ["a-2", "a-3"]
    assert [strike.facts["job"] for strike in waiting.strikes] == struck
    assert lab.take(MissingCapacity, job="a-5", instance="ml.m5.large") is None


CALLS: dict[str, Callable[[Cloud], Any]] = {
    "sagemaker:ListModels": lambda cloud: cloud.client("sagemaker").list_models(),
    "cloudwatch:DescribeAlarms": lambda cloud: cloud.client("cloudwatch").describe_alarms(),
    "sns:ListTopics": lambda cloud: cloud.client("sns").list_topics(),
    "lambda:ListFunctions": lambda cloud: cloud.client("lambda").list_functions(),
    "lambda:Invoke": lambda cloud: cloud.client("lambda").invoke(FunctionName="none"),
    "s3:ListBuckets": lambda cloud: cloud.client("s3").list_buckets(),
    "s3:PutObject": lambda cloud: cloud.client("s3").put_object(Bucket="none", Key="a/b c", Body=b""),
    "s3:UploadPart": lambda cloud: cloud.client("s3").upload_part(
        Bucket="none", Key="a", PartNumber=1, UploadId="u", Body=b""
    ),
    "stepfunctions:ListStateMachines": lambda cloud: cloud.client("stepfunctions").list_state_machines(),
    "sagemaker:InvokeEndpoint": lambda cloud: cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="none", Body=b""
    ),
}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_any_service_can_refuse_a_call_in_its_own_wire_format(cloud: Cloud, call: str) -> None:
    fault = RefusedCall(call=call, error="ThrottlingException", message="<Rate> exceeded", status=429)
    with LAB.inject(fault), pytest.raises(ClientError) as refused:
        CALLS[call](cloud)
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert refused.value.response["Error"]["Message"] == "<Rate> exceeded"


def test_a_request_or_its_answer_can_be_lost(cloud: Cloud) -> None:
    s3, bucket = cloud.client("s3"), f"b-{uuid.uuid4().hex[:8]}"
    with LAB.inject(LostCall(call="s3:CreateBucket")), pytest.raises(HTTPClientError):
        s3.create_bucket(Bucket=bucket)
    assert bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    with LAB.inject(LostAnswer(call="s3:CreateBucket")), pytest.raises(HTTPClientError):
        s3.create_bucket(Bucket=bucket)
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]


def reading(name: str = "Look", **fields: Any) -> dict[str, Any]:
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Arguments": {}, "End": True}
    return {name: {**task, "Output": "fine", **fields}}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (RefusedCall, "S3.ThrottlingException"),
        (LostAnswer, "S3.SdkClientException"),
        (LostCall, "S3.SdkClientException"),
        (TimedOutState, "States.Timeout"),
        (OversizedResult, "States.DataLimitExceeded"),
    ],
)
def test_a_states_call_fails_as_on_aws(cloud: Cloud, fault: Any, error: str) -> None:
    with LAB.inject(fault(state="Look", times=2)) as (waiting,):
        failed = run(cloud, reading())
        again = run(cloud, reading(Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}]))
    assert (failed.failure[0] or "").removesuffix("Exception") == error.removesuffix("Exception") or (
        failed.failure[0] == "S3.S3Exception"
    )
    assert again.status == ("FAILED" if error == "States.DataLimitExceeded" else "SUCCEEDED")
    assert len(waiting.strikes) == 2


def test_only_the_state_of_the_named_execution_is_struck(cloud: Cloud) -> None:
    with LAB.inject(RefusedCall(state="Look", execution="another", times=0)):
        assert run(cloud, reading()).status == "SUCCEEDED"


def test_an_execution_is_stopped_where_the_fault_says(cloud: Cloud) -> None:
    with LAB.inject(StoppedExecution(state="Look")):
        stopped = run(cloud, {"Before": {"Type": "Pass", "Next": "Look"}, **reading()})
    assert stopped.status == "ABORTED"
    assert not stopped.events("TaskScheduled")


def test_a_running_execution_keeps_its_definition(cloud: Cloud) -> None:
    machine = create(cloud, reading())
    with LAB.inject(DeployedDefinition(state="Look")):
        execution = start(cloud, machine)
        assert ended(cloud, execution).status == "SUCCEEDED"
    states = cloud.client("stepfunctions")
    assert "Deployed during" in states.describe_state_machine(stateMachineArn=machine)["definition"]
    kept = states.describe_state_machine_for_execution(executionArn=execution)["definition"]
    assert "Deployed during" not in kept


@pytest.mark.parametrize("kind", [OverwrittenObject, DeletedObject])
def test_an_object_changes_under_an_execution(cloud: Cloud, kind: Any) -> None:
    s3, bucket = cloud.client("s3"), f"b-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="upload", Body=b"before")
    with LAB.inject(kind(state="Look", bucket=bucket, key="upload")):
        run(cloud, reading())
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [each["Size"] for each in found] == ([len("overwritten")] if kind is OverwrittenObject else [])


@pytest.fixture(scope="module")
def writer(cloud: Cloud) -> Function:
    """A function that writes two objects."""
    return Function(cloud, WRITER)


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (KilledFunction(moment=BEFORE_WRITE), "Runtime.ExitError", []),
        (KilledFunction(moment=AFTER_WRITE), "Runtime.ExitError", ["first"]),
        (KilledFunction(moment=AT_END), "Runtime.ExitError", ["first", "second"]),
        (TimedOutFunction(), "Sandbox.Timedout", ["first", "second"]),
        (ExhaustedFunction(), "Runtime.ExitError", []),
    ],
    ids=["before its write", "after its write", "at its end", "timed out", "exhausted"],
)
def test_a_function_dies_at_the_moment_that_the_fault_says(
    cloud: Cloud, writer: Function, fault: Any, error: str, written: list[str]
) -> None:
    s3, bucket = cloud.client("s3"), f"b-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    with LAB.inject(fault):
        answer = writer.invoke({"bucket": bucket})
    assert answer["payload"]["errorType"] == error
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])] == written
    assert writer.invoke({"bucket": bucket})["payload"] == "done"


def test_events_are_lost_repeated_and_late(cloud: Cloud) -> None:
    events, (url, arn), kind = cloud.client("events"), queue(cloud), f"kind-{uuid.uuid4().hex[:8]}"
    events.put_rule(Name=kind, EventPattern=json.dumps({"detail-type": [kind]}))
    events.put_targets(Rule=kind, Targets=[{"Id": "queue", "Arn": arn}])

    def put(text: str) -> None:
        events.put_events(Entries=[{"Source": "test", "DetailType": kind, "Detail": json.dumps({"is": text})}])

    with LAB.inject(
        LostEvent(type=kind, detail='*"lost"*', target=arn),
        RepeatedEvent(type=kind, detail='*"again"*', target=arn, copies=1),
        LateEvent(type=kind, detail='*"late"*', target=arn, seconds=50),
    ) as waiting:
        for text in ("lost", "late", "again"):
            put(text)
        told = [json.loads(received(cloud, url)["Body"])["detail"]["is"] for _ in range(3)]
        eventually(lambda: all(each.strikes for each in waiting))
    assert told == ["again", "again", "late"]


def test_a_plan_is_a_file_of_faults() -> None:
    faults = plan.read("""
    [[fault]]
    kind = "missing capacity"
    job = "*-spot-*"

    [[fault]]
    kind = "late event"
    detail = "*rows.csv*"
    seconds = 30
    times = 0
    """)
    assert faults == [MissingCapacity(job="*-spot-*"), LateEvent(detail="*rows.csv*", seconds=30, times=ALWAYS)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fault =", "the plan is no TOML"),
        ("[[faults]]", "'faults' is not allowed; expected one of fault; did you mean 'fault'?"),
        ('[[fault]]\nkind = "late events"', "did you mean 'late event'?"),
        ('[[fault]]\nkind = "late event"\nsecond = 1', "did you mean 'seconds'?"),
        ('[[fault]]\nkind = "late event"\nseconds = "1"', "'1' is not allowed; expected a value of type float"),
        ('[[fault]]\nkind = "deleted object"\nkey = "a"', "bucket must be given with kind 'deleted object'"),
    ],
    ids=["no TOML", "table", "kind", "field", "type", "missing"],
)
def test_a_mistake_in_a_plan_is_named(text: str, told: str) -> None:
    with pytest.raises(plan.BadPlan, match=re.escape(told)):
        plan.read(text)


def test_results_are_kept_sweep_by_sweep_and_shown() -> None:
    sweep: dict[str, Any] = {"swept": "throttled", "way": "spot", "states": []}
    cell = {"state": "Gate", "fault": "throttled", "way": "spot", "end": "FAILED", "verdict": "failed"}
    kept = results.merge({}, [sweep, {**cell, "violations": ["lost upload: a"]}])
    text = results.page(kept, {"pipeline": ["Gate", "Deploy"], "deployment": [], "batch": []})
    assert "| Gate | spot | ✗ |" in text
    assert "* spot, throttled, `Gate`: lost upload: a" in text
    assert "* batch: every fault" in text
    assert results.merge(kept, [{**sweep, "states": ["Deploy"]}]) == kept
    assert results.merge(kept, [{**sweep, "states": ["Gate"]}]) == {"spot": {"throttled": {}}}
    assert results.merge(kept, [sweep]) == {"spot": {"throttled": {}}}


def test_a_state_that_met_no_fault_is_told_unless_there_is_a_reason() -> None:
    choice: dict[str, Any] = {"Type": "Choice"}
    states: dict[str, dict[str, Any]] = {machine: {} for machine, _ in UNREACHED}
    for machine, state in UNREACHED:
        states[machine][state] = choice
    states["pipeline"]["Gate"] = choice
    assert results.unmet({}, states) == ["pipeline: 'Gate' met no fault; give it a way"]
    everywhere = ("execution stopped", "definition deployed")
    met: results.Results = {"spot": {fault: {"Gate": {}, UNREACHED_STATE: {}} for fault in everywhere}}
    reached = f"pipeline: {UNREACHED_STATE!r} is reached, or is no more; take it from UNREACHED"
    assert results.unmet(met, states) == [reached]
    met["spot"]["execution stopped"].pop("Gate")
    assert results.unmet(met, states) == [reached, "pipeline: 'Gate' never met 'execution stopped'"]


def test_a_task_is_to_meet_every_fault_of_tasks() -> None:
    met: results.Results = {"spot": {fault: {"Train": {}} for fault in ("execution stopped", "definition deployed")}}
    told = [line for line in results.unmet(met, {"pipeline": {"Train": {"Type": "Task"}}}) if "never met" in line]
    assert "pipeline: 'Train' never met 'time-out'" in told
    assert len(told) == sum(entry.where == ANY_TASK for entry in CATALOGUE) > 5


def test_a_slow_machine_is_not_stuck() -> None:
    """The time begins anew as long as something happens."""
    looks = itertools.count()
    began = time.monotonic()
    assert Site.eventually(lambda: time.monotonic() > began + 0.6, 0.2, "it", progress=lambda: next(looks))
    with pytest.raises(Stuck, match=re.escape("it: nothing has happened for 0 s")):
        Site.eventually(lambda: False, 0.2, "it")


def test_what_a_state_answers_alike_is_run_once() -> None:
    """A rule for throttling alone tells it from other refusals; where none does, one stands for all."""

    def at(*retried: str) -> dict[str, str]:
        rules = {"Retry": [{"ErrorEquals": list(retried)}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "End"}]}
        definition = {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:getItem", **rules}
        return alike(Place(site=Site(lambda name: None), state="Find", definition=definition, project="p"))

    refusals = ["throttled on and on", "internal errors", "quota exceeded", "expired credentials", "access denied"]
    assert at("States.TaskFailed") == dict.fromkeys(refusals[1:], refusals[0])
    told_apart = at("DynamoDB.ProvisionedThroughputExceededException")
    assert told_apart == dict.fromkeys(refusals[2:], refusals[1])
