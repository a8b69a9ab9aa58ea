"""Small requests and waits that the SageMaker tests share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from local.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
DLC = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"


def bucket(cloud: Cloud) -> str:
    """Return a new, empty bucket."""
    name = f"jobs-{uuid.uuid4().hex[:12]}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def put(cloud: Cloud, bucket: str, **objects: str | bytes) -> None:
    """Store objects; ``__`` in a name is ``/``, ``_`` before the last part of it a dot."""
    for key, body in objects.items():
        cloud.client("s3").put_object(Bucket=bucket, Key=key.replace("__", "/"), Body=body)


def read(cloud: Cloud, bucket: str, key: str) -> bytes:
    body: bytes = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def keys(cloud: Cloud, bucket: str, prefix: str = "") -> list[str]:
    found = cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return [each["Key"] for each in found]


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def training(bucket: str, script: str, *, hosts: int = 1, **more: Any) -> dict[str, Any]:
    """Return a CreateTrainingJob whose container runs ``script`` with bash."""
    return {
        "TrainingJobName": unique("job"),
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": DLC,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["bash", "-c", 'eval "$SCRIPT"'],  # an argument takes 256 characters, a variable 512
        },
        "Environment": {"SCRIPT": script},
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/train"},
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": hosts, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "EnableNetworkIsolation": True,
        **more,
    }


def channel(name: str, uri: str, **source: Any) -> dict[str, Any]:
    """Return an InputDataConfig entry."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}


def wait(describe: Callable[[], dict[str, Any]], field: str, *, while_in: tuple[str, ...], seconds: float = 30) -> Any:
    """Return the first description whose ``field`` is not in ``while_in``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        description = describe()
        if description[field] not in while_in:
            return description
        time.sleep(0.03)
    raise AssertionError(f"still {description[field]} after {seconds} s: {description}")


def train(cloud: Cloud, request: dict[str, Any]) -> Any:
    """Run a training job to its end; return its description."""
    client = cloud.client("sagemaker")
    client.create_training_job(**request)
    return trained(cloud, request["TrainingJobName"])


def trained(cloud: Cloud, name: str, seconds: float = 30) -> Any:
    """Return the description of a training job that has ended."""
    client = cloud.client("sagemaker")
    return wait(
        lambda: client.describe_training_job(TrainingJobName=name),
        "TrainingJobStatus",
        while_in=("InProgress", "Stopping"),
        seconds=seconds,
    )


def log(cloud: Cloud, group: str, prefix: str) -> list[str]:
    """Return the messages of all streams of ``group`` whose name starts with ``prefix``."""
    client = cloud.client("logs")
    streams = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in client.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]
