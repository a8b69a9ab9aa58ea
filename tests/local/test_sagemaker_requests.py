"""Requests that AWS refuses are refused before anything runs."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from local.cloud import Cloud
from local.sagemaker import shapes
from local.sagemaker.errors import Refused
from tests.local import sagemaker as sm

PREFERENCES = [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}]


def job(**changes: Any) -> dict[str, Any]:
    return {**sm.training("bucket", "true"), **changes}


def resources(**changes: Any) -> dict[str, Any]:
    return {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1, **changes}


GROUP = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "InstanceGroupName": "g"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (job(TrainingJobName="under_score"), "Value 'under_score' at 'trainingJobName'.*regular expression pattern"),
        (job(TrainingJobName="x" * 64), "length less than or equal to 63"),
        (job(TrainingJobName="x-"), "regular expression pattern"),
        (job(RoleArn="arn:aws:iam::1:role/x"), "at 'roleArn'"),
        (job(ResourceConfig=resources(InstanceType="ml.huge")), "enum value set"),
        (job(ResourceConfig=resources(InstancePreferences=PREFERENCES)), "exactly one of InstanceType"),
        (job(ResourceConfig={"VolumeSizeInGB": 1}), "given: none"),
        (job(ResourceConfig={"InstancePreferences": PREFERENCES, "VolumeSizeInGB": 1}), "InstanceCount must be set"),
        (
            job(
                ResourceConfig={"InstancePreferences": PREFERENCES, "InstanceCount": 1, "VolumeSizeInGB": 1},
                EnableManagedSpotTraining=True,
                StoppingCondition={"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9},
            ),
            "mutually exclusive with EnableManagedSpotTraining",
        ),
        (
            job(ResourceConfig={"InstancePreferences": PREFERENCES[:1] * 2, "InstanceCount": 1, "VolumeSizeInGB": 1}),
            "only once",
        ),
        (job(EnableManagedSpotTraining=True), "MaxWaitTimeInSeconds must be specified"),
        (
            job(
                EnableManagedSpotTraining=True,
                StoppingCondition={"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8},
            ),
            "greater than or equal to MaxRuntimeInSeconds",
        ),
        (job(StoppingCondition={"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}), "can only be specified when"),
        (job(StoppingCondition={"MaxRuntimeInSeconds": 2_419_201}), "28 days"),
        (job(HyperParameters={f"k{n}": "v" for n in range(101)}), "length less than or equal to 100"),
        (job(HyperParameters={"k": "two\nlines"}), "regular expression pattern"),
        (job(CheckpointConfig={"S3Uri": "s3://b/c", "LocalPath": "/somewhere"}), "below /opt/ml"),
        (job(InputDataConfig=[sm.channel("a", "s3://b/a")] * 2), "Duplicate channel names"),
        (job(InputDataConfig=[{**sm.channel("a", "s3://b/a"), "InputMode": "Pipe"}]), "Pipe mode is not emulated"),
        (
            job(InputDataConfig=[{**sm.channel("a", "s3://b/a", S3DataType="ManifestFile"), "InputMode": "FastFile"}]),
            "FastFile mode supports the S3DataType S3Prefix only",
        ),
        (job(ResourceConfig={"InstanceGroups": [GROUP, GROUP], "VolumeSizeInGB": 1}), "none twice; given: g, g"),
        (job(ResourceConfig={"InstanceGroups": [], "VolumeSizeInGB": 1}), "given: none"),
        (
            job(ResourceConfig={"InstanceGroups": [{**GROUP, "InstanceCount": 0}], "VolumeSizeInGB": 1}),
            "instance group g must be at least 1",
        ),
        (
            job(ResourceConfig={"InstanceGroups": [GROUP], "InstanceCount": 1, "VolumeSizeInGB": 1}),
            "InstanceCount cannot be specified with InstanceGroups",
        ),
        (
            job(InputDataConfig=[sm.channel("a", "s3://b/a", InstanceGroupNames=["g"])]),
            "InstanceGroupNames.* is not emulated",
        ),
    ],
)
def test_a_training_job_that_cannot_be_meant_is_refused(cloud: Cloud, request_: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said) as refused:
        cloud.client("sagemaker").create_training_job(**request_)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError):
        cloud.client("sagemaker").describe_training_job(TrainingJobName="x")


def test_a_name_is_never_used_twice(cloud: Cloud) -> None:
    request = sm.training(sm.bucket(cloud), "true")
    sm.train(cloud, request)
    with pytest.raises(ClientError) as taken:
        cloud.client("sagemaker").create_training_job(**request)
    assert taken.value.response["Error"]["Code"] == "ResourceInUse"


def test_empty_structures_are_left_out_of_descriptions(cloud: Cloud) -> None:
    described = sm.train(cloud, sm.training(sm.bucket(cloud), "true", HyperParameters={}))
    assert "VpcConfig" not in described
    assert "HyperParameters" not in described
    assert "FailureReason" not in described


def test_unknown_and_wrongly_typed_members_are_named_together() -> None:
    request = {"TrainingJobName": 7, "HyperParameters": {"epochs": 3}, "Epochs": 3}
    with pytest.raises(Refused) as refused:
        shapes.check("sagemaker", "CreateTrainingJob", request)
    message = refused.value.message
    assert "'trainingJobName' failed to satisfy constraint: Member must be of type string, not 7" in message
    assert (
        "'hyperParameters.epochs.member' failed to satisfy constraint: Member must be of type string, not 3" in message
    )
    assert "'epochs' failed to satisfy constraint: unknown member" in message
    assert "Value null at 'outputDataConfig'" in message


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime"])
def test_every_pattern_of_the_model_is_understood(service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    found = set().union(*(patterns(model.operation_model(name).input_shape, set()) for name in model.operation_names))
    assert found
    assert all(shapes.pattern(text) for text in found)


def patterns(shape: Shape | None, seen: set[str]) -> set[str]:
    if shape is None or shape.name in seen:
        return set()
    seen.add(shape.name)
    below: list[Shape] = []
    if isinstance(shape, StructureShape):
        below = list(shape.members.values())
    elif isinstance(shape, ListShape):
        below = [shape.member]
    elif isinstance(shape, MapShape):
        below = [shape.key, shape.value]
    own = {shape.metadata["pattern"]} if "pattern" in shape.metadata else set()
    return own.union(*(patterns(each, seen) for each in below))


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("create_notebook_instance", {"NotebookInstanceName": "n", "InstanceType": "ml.t2.medium", "RoleArn": sm.ROLE}),
        ("list_hubs", {}),
    ],
)  # fmt: skip
def test_what_is_not_emulated_is_refused_by_name(cloud: Cloud, operation: str, request_: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="is not emulated by the laptop cloud"):
        getattr(cloud.client("sagemaker"), operation)(**request_)


def test_moto_alone_still_accepts_such_requests(vanilla: Any) -> None:
    client = vanilla.client("sagemaker")
    for _ in range(2):  # the same name twice, malformed and too long
        client.create_training_job(**{**sm.training("bucket", "true"), "TrainingJobName": "under_score" * 9})


def test_boto3_itself_refuses_hyperparameters_that_are_not_text(cloud: Cloud) -> None:
    with pytest.raises(ParamValidationError):
        cloud.client("sagemaker").create_training_job(**job(HyperParameters={"epochs": 3}))
