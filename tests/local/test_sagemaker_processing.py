"""Processing jobs bring inputs, run a program and store outputs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.chaos.faults import MissingCapacity
from local.chaos.lab import LAB
from local.cloud import Cloud
from tests.local import sagemaker as sm

GROUP = "/aws/sagemaker/ProcessingJobs"
IN, OUT = "/opt/ml/processing/input", "/opt/ml/processing/output"


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    return sm.bucket(cloud)


def processing(bucket: str, script: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": sm.unique("proc"),
        "RoleArn": sm.ROLE,
        "AppSpecification": {"ImageUri": sm.DLC, "ContainerEntrypoint": ["bash", "-c", 'eval "$SCRIPT"']},
        "Environment": {"SCRIPT": script},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10}
        },
        "NetworkConfig": {"EnableNetworkIsolation": True},
        **more,
    }


def given(name: str, uri: str, **source: str) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "LocalPath": f"{IN}/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File", **source}
    return {"InputName": name, "S3Input": s3}


def outputs(bucket: str, mode: str = "EndOfJob") -> dict[str, Any]:
    s3 = {"S3Uri": f"s3://{bucket}/out", "LocalPath": OUT, "S3UploadMode": mode}
    return {"Outputs": [{"OutputName": "out", "S3Output": s3}]}


def process(cloud: Cloud, request: dict[str, Any]) -> Any:
    cloud.client("sagemaker").create_processing_job(**request)
    return processed(cloud, request["ProcessingJobName"])


def processed(cloud: Cloud, name: str) -> Any:
    client = cloud.client("sagemaker")
    return sm.wait(
        lambda: client.describe_processing_job(ProcessingJobName=name),
        "ProcessingJobStatus",
        while_in=("InProgress", "Stopping"),
    )


def test_inputs_become_files_and_files_become_outputs(cloud: Cloud, bucket: str) -> None:
    sm.put(cloud, bucket, data__a="1", data__deep__b="2")
    script = f"mkdir -p {OUT}/x; cat {IN}/data/a {IN}/data/deep/b > {OUT}/x/sum; echo 2 rows > /opt/ml/output/message"
    request = processing(
        bucket,
        script,
        ProcessingInputs=[given("data", f"s3://{bucket}/data/")],
        ProcessingOutputConfig=outputs(bucket),
    )
    job = process(cloud, request)
    assert job["ProcessingJobStatus"] == "Completed", job
    assert sm.read(cloud, bucket, "out/x/sum") == b"12"
    assert job["ExitMessage"] == "2 rows\n"
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert job["Environment"] == {"SCRIPT": script}


def test_one_object_is_an_input_under_its_own_name(cloud: Cloud, bucket: str) -> None:
    sm.put(cloud, bucket, data__request="r")
    script = f"test -f {IN}/one/request"
    inputs = [given("one", f"s3://{bucket}/data/request")]
    assert process(cloud, processing(bucket, script, ProcessingInputs=inputs))["ProcessingJobStatus"] == "Completed"


def test_a_program_reads_its_job_from_the_configuration(cloud: Cloud, bucket: str) -> None:
    script = (
        "cat /opt/ml/config/processingjobconfig.json /opt/ml/config/resourceconfig.json; test -d $SAGEMAKER_BASE_DIR"
    )
    request = processing(bucket, script)
    assert process(cloud, request)["ProcessingJobStatus"] == "Completed"
    printed = "".join(sm.log(cloud, GROUP, request["ProcessingJobName"]))
    assert f'"ProcessingJobName": "{request["ProcessingJobName"]}"' in printed
    assert '"current_host": "algo-1"' in printed


def test_a_failure_has_its_reason_and_stores_nothing(cloud: Cloud, bucket: str) -> None:
    script = f"echo half > {OUT}/half; echo 'bad rows' > /opt/ml/output/failure; exit 3"
    job = process(cloud, processing(bucket, script, ProcessingOutputConfig=outputs(bucket)))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: bad rows\n, exit code: 3"
    assert sm.keys(cloud, bucket, "out") == []


def test_continuous_outputs_come_while_the_job_runs(cloud: Cloud, bucket: str) -> None:
    script = f"echo 1 > {OUT}/first; trap 'exit 1' TERM; while :; do sleep 0.05; done"
    request = processing(bucket, script, ProcessingOutputConfig=outputs(bucket, "Continuous"))
    client, name = cloud.client("sagemaker"), request["ProcessingJobName"]
    client.create_processing_job(**request)
    deadline = time.monotonic() + 15
    while not sm.keys(cloud, bucket, "out/") and time.monotonic() < deadline:
        time.sleep(0.05)
    client.stop_processing_job(ProcessingJobName=name)
    assert processed(cloud, name)["ProcessingJobStatus"] == "Stopped"
    assert sm.keys(cloud, bucket, "out/") == ["out/first"]


def test_a_job_out_of_time_is_stopped(cloud: Cloud, bucket: str) -> None:
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    job = process(cloud, processing(bucket, script, StoppingCondition={"MaxRuntimeInSeconds": 1}))
    assert job["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds" in job["FailureReason"]


def test_the_first_type_with_capacity_is_taken(cloud: Cloud, bucket: str) -> None:
    types = [{"InstanceType": "ml.c5.xlarge"}, {"InstanceType": "ml.m5.xlarge"}]
    cluster = {"InstancePreferences": types, "InstanceCount": 1, "VolumeSizeInGB": 10}
    request = processing(bucket, "true", ProcessingResources={"ClusterConfig": cluster})
    with LAB.inject(MissingCapacity(job=request["ProcessingJobName"], instance="ml.c5.*")):
        job = process(cloud, request)
    assert job["ProcessingResources"]["ClusterConfig"]["SelectedInstanceType"] == "ml.m5.xlarge"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ProcessingInputs": [given("x", "s3://b/k", LocalPath="/tmp/x")]}, "must be below /opt/ml/processing/"),
        ({"ProcessingInputs": [given("x", "s3://b/k", S3InputMode="Pipe")]}, "not emulated"),
        ({"ProcessingJobName": "under_score"}, "regular expression pattern"),
        (
            {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.huge", "VolumeSizeInGB": 1}}},
            "enum value set",
        ),
    ],
)
def test_requests_that_cannot_be_meant_are_refused(cloud: Cloud, bucket: str, change: Any, said: str) -> None:
    with pytest.raises(ClientError, match=said) as refused:
        cloud.client("sagemaker").create_processing_job(**{**processing(bucket, "true"), **change})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_name_is_never_used_twice(cloud: Cloud, bucket: str) -> None:
    request = processing(bucket, "true")
    process(cloud, request)
    with pytest.raises(ClientError) as taken:
        cloud.client("sagemaker").create_processing_job(**request)
    assert taken.value.response["Error"]["Code"] == "ResourceInUse"
