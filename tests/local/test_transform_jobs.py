"""Transform jobs: servers of a model answer objects, and the answers go to S3."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.chaos.faults import MissingCapacity
from local.chaos.lab import LAB
from local.cloud import Cloud
from local.sagemaker.transform_records import TooMuch, assemble, payloads
from tests.local import sagemaker as sm
from tests.local.hosting import Hosting
from tests.local.machines import run

GROUP = "/aws/sagemaker/TransformJobs"


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    return sm.bucket(cloud)


@pytest.fixture(scope="module")
def model(hosting: Hosting) -> str:
    return hosting.model("batch")


def transform(bucket: str, model: str, *, split: str = "None", assemble: str = "None", **more: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in"}}
    return {
        "TransformJobName": sm.unique("transform"),
        "ModelName": model,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": split},
        "TransformOutput": {
            "S3OutputPath": f"s3://{bucket}/out", "Accept": "application/json", "AssembleWith": assemble,
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **more,
    }  # fmt: skip


def transformed(cloud: Cloud, request: dict[str, Any]) -> Any:
    cloud.client("sagemaker").create_transform_job(**request)
    return ended(cloud, request["TransformJobName"])


def ended(cloud: Cloud, name: str) -> Any:
    client = cloud.client("sagemaker")
    return sm.wait(
        lambda: client.describe_transform_job(TransformJobName=name),
        "TransformJobStatus",
        while_in=("InProgress", "Stopping"),
    )


def told(cloud: Cloud, bucket: str, key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sm.read(cloud, bucket, key).decode().splitlines()]


def test_every_object_is_answered_whole_under_its_own_name(cloud: Cloud, bucket: str, model: str) -> None:
    sm.put(cloud, bucket, in__a="12345", in__deep__b="123")
    more: dict[str, Any] = {"Environment": {"X": "from-the-job"}, "TransformResources": {"InstanceType": "ml.m5.large",
                                                                        "InstanceCount": 2}}  # fmt: skip
    job = transformed(cloud, transform(bucket, model, **more))
    assert job["TransformJobStatus"] == "Completed", job
    assert job["TransformStartTime"] <= job["TransformEndTime"]
    assert sm.keys(cloud, bucket, "out/") == ["out/a.out", "out/deep/b.out"]
    expected = {"model": "batch", "isolated": True, "type": "text/csv", "accept": "application/json",
                "x": "from-the-job"}  # fmt: skip
    assert told(cloud, bucket, "out/a.out") == [{**expected, "bytes": 5}]
    assert told(cloud, bucket, "out/deep/b.out") == [{**expected, "bytes": 3}]
    assert any("serving batch" in line for line in sm.log(cloud, GROUP, job["TransformJobName"]))


@pytest.mark.parametrize(("strategy", "sizes"), [("SingleRecord", [2, 3, 1]), ("MultiRecord", [6])])
def test_lines_are_records(cloud: Cloud, bucket: str, model: str, strategy: str, sizes: list[int]) -> None:
    sm.put(cloud, bucket, **{"in": "1\n22\n3"})
    request = transform(bucket, model, split="Line", assemble="Line", BatchStrategy=strategy, MaxConcurrentTransforms=4)
    assert transformed(cloud, request)["TransformJobStatus"] == "Completed"
    assert [each["bytes"] for each in told(cloud, bucket, "out/in.out")] == sizes


def test_requests_take_as_many_records_as_fit() -> None:
    mebi, half = 1 << 20, b"x" * (1 << 19)
    lines = half[1:] + b"\n" + half[1:] + b"\n" + b"y\n"
    assert [len(each) for each in payloads(lines, "Line", "MultiRecord", 1)] == [mebi, 2]
    assert [len(each) for each in payloads(lines, "Line", "MultiRecord", 0)] == [mebi + 2]
    assert [len(each) for each in payloads(lines, "None", "MultiRecord", 0)] == [mebi + 2]
    with pytest.raises(TooMuch, match="MaxPayloadInMB is 1"):
        list(payloads(half * 3, "Line", "MultiRecord", 1))
    assert list(payloads(b"", "Line", "MultiRecord", 1)) == []
    assert (assemble([b"a", b"b"], False), assemble([b"a", b"b"], True)) == (b"ab", b"a\nb\n")


@pytest.mark.parametrize(("status", "kind"), [("415", "ClientError"), ("500", "AlgorithmError")])
def test_a_bad_object_fails_the_job_and_the_others_are_answered(
    cloud: Cloud, bucket: str, model: str, status: str, kind: str
) -> None:
    sm.put(cloud, bucket, in__bad=f"status {status}", in__good="1")
    job = transformed(cloud, transform(bucket, model, ModelClientConfig={"InvocationsMaxRetries": 1}))
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == f"{kind}: See job logs for more information"
    assert sm.keys(cloud, bucket, "out/") == ["out/good.out"]
    lines = sm.log(cloud, GROUP, job["TransformJobName"])
    assert any(line.endswith(f"[sagemaker logs]: {bucket}/in/bad: {kind}: {status}") for line in lines), lines
    assert any(line.endswith("in/bad: because batch") for line in lines)


def test_an_object_larger_than_a_payload_is_refused(cloud: Cloud, bucket: str, model: str) -> None:
    sm.put(cloud, bucket, in__large=b"x" * ((1 << 20) + 1))
    job = transformed(cloud, transform(bucket, model, MaxPayloadInMB=1))
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    assert any("Too much data for max payload size" in line for line in sm.log(cloud, GROUP, job["TransformJobName"]))


def test_no_object_no_server_no_machine_each_has_its_reason(cloud: Cloud, bucket: str, hosting: Hosting) -> None:
    sm.put(cloud, bucket, in__a="1")
    nothing = transform(bucket, hosting.model("idle"))
    nothing["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{bucket}/nowhere"
    assert "No S3 objects found" in transformed(cloud, nothing)["FailureReason"]
    broken = transformed(cloud, transform(bucket, hosting.model("broken")))
    assert broken["FailureReason"] == "AlgorithmError: See job logs for more information"
    wanted = transform(bucket, hosting.model("unwanted"))
    with LAB.inject(MissingCapacity(job=wanted["TransformJobName"])):
        assert transformed(cloud, wanted)["FailureReason"].startswith("CapacityError")
    assert sm.keys(cloud, bucket, "out/") == []


def test_a_job_is_stopped_while_it_asks(cloud: Cloud, bucket: str, model: str) -> None:
    sm.put(cloud, bucket, in__a="sleep 60")
    request = transform(bucket, model)
    client, name = cloud.client("sagemaker"), request["TransformJobName"]
    client.create_transform_job(**request)
    sm.wait(lambda: {"on": "TransformStartTime" in client.describe_transform_job(TransformJobName=name)}, "on",
            while_in=(False,))  # type: ignore[arg-type]  # fmt: skip
    began = time.monotonic()
    client.stop_transform_job(TransformJobName=name)
    assert ended(cloud, name)["TransformJobStatus"] == "Stopped"
    assert time.monotonic() - began < 10
    client.stop_transform_job(TransformJobName=name)
    assert sm.keys(cloud, bucket, "out/") == []


def test_a_state_waits_for_it_and_its_changes_are_events(cloud: Cloud, bucket: str, model: str) -> None:
    sm.put(cloud, bucket, in__a="1")
    sqs, bus, name = cloud.client("sqs"), cloud.client("events"), sm.unique("changes")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"detail-type": ["SageMaker Transform Job State Change"], "detail": {"TransformJobStatus": ["Completed"]}}
    bus.put_rule(Name=name, EventPattern=json.dumps(pattern))
    bus.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    request = transform(bucket, model)
    resource = "arn:aws:states:::sagemaker:createTransformJob.sync"
    end = run(cloud, {"Transform": {"Type": "Task", "Resource": resource, "Arguments": request, "End": True}})
    assert end.output["TransformJobStatus"] == "Completed"
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert event["source"] == "aws.sagemaker"
    assert event["detail"]["TransformJobName"] == request["TransformJobName"]
    assert isinstance(event["detail"]["TransformEndTime"], int)
    listed = cloud.client("sagemaker").list_transform_jobs(NameContains=request["TransformJobName"])
    assert [each["TransformJobStatus"] for each in listed["TransformJobSummaries"]] == ["Completed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ModelName": "no-such"}, "Could not find model"),
        ({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB; this makes 102"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "not emulated"),
        ({"TransformResources": {"InstanceType": "ml.huge", "InstanceCount": 1}}, "enum value set"),
    ],
)
def test_requests_that_cannot_be_meant_are_refused(
    cloud: Cloud, bucket: str, model: str, change: Any, said: str
) -> None:
    with pytest.raises(ClientError, match=said) as refused:
        cloud.client("sagemaker").create_transform_job(**{**transform(bucket, model), **change})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
