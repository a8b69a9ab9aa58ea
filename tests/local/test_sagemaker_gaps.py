"""What vanilla moto does not do: when one of these fails, its gap has been closed upstream and can go."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local import sagemaker as sm
from tests.local import tuning as tn

DIGESTLESS = '{"schemaVersion": 2, "mediaType": "m", "config": {"digest": "%s", "size": 1}, "layers": []}'


@pytest.fixture(scope="module")
def moto(vanilla: Any) -> Any:
    return vanilla.client("sagemaker")


def code(error: pytest.ExceptionInfo[ClientError]) -> int:
    status: int = error.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def test_training_jobs_are_completed_at_once_and_cannot_be_stopped(moto: Any) -> None:
    request = sm.training("nowhere", "exit 1")
    moto.create_training_job(**request)
    described = moto.describe_training_job(TrainingJobName=request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Completed"
    with pytest.raises(ClientError) as failed:
        moto.stop_training_job(TrainingJobName=request["TrainingJobName"])
    assert code(failed) == 500


def test_processing_jobs_are_completed_at_once(moto: Any) -> None:
    moto.create_processing_job(
        ProcessingJobName="vanilla",
        RoleArn=sm.ROLE,
        AppSpecification={"ImageUri": "no-image"},
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
    )
    described = moto.describe_processing_job(ProcessingJobName="vanilla")
    assert described["ProcessingJobStatus"] == "Completed"
    assert "ProcessingResources" not in described


def test_transform_jobs_answer_nothing_and_cannot_be_stopped(moto: Any) -> None:
    moto.create_transform_job(
        TransformJobName="vanilla",
        ModelName="no-model",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://nowhere/in"}}},
        TransformOutput={"S3OutputPath": "s3://nowhere/out"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    assert moto.describe_transform_job(TransformJobName="vanilla")["TransformJobStatus"] == "Completed"
    with pytest.raises(ClientError):
        moto.stop_transform_job(TransformJobName="vanilla")


def test_tuning_jobs_train_nothing_and_cannot_be_stopped(moto: Any) -> None:
    request = tn.tuning(tn.definition("no-image", "nowhere"))
    moto.create_hyper_parameter_tuning_job(**request)
    name = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
    described = moto.describe_hyper_parameter_tuning_job(**name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["BestTrainingJob"]["TrainingJobName"] == "FakeTrainingJobName"
    for call in (moto.stop_hyper_parameter_tuning_job, moto.list_training_jobs_for_hyper_parameter_tuning_job):
        with pytest.raises(ClientError):
            call(**name)


def test_endpoints_are_in_service_without_a_server_and_cannot_be_updated(moto: Any, vanilla: Any) -> None:
    moto.create_model(ModelName="m", ExecutionRoleArn=sm.ROLE, PrimaryContainer={"Image": "no-image"})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    moto.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    for _ in range(2):
        moto.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert moto.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
    with pytest.raises(ClientError) as failed:
        moto.update_endpoint(EndpointName="e", EndpointConfigName="c")
    assert code(failed) == 500
    answer = vanilla.client("sagemaker-runtime").invoke_endpoint(EndpointName="never-made", Body=b"x")
    assert answer["Body"].read() == b"body"
    asked = vanilla.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName="never-made", InputLocation="s3://b/k"
    )
    assert "sagemaker-output" in asked["OutputLocation"]


def test_the_registry_forgets_and_does_not_delete(moto: Any) -> None:
    moto.create_model_package_group(ModelPackageGroupName="g")
    arn = moto.create_model_package(
        ModelPackageGroupName="g", ModelApprovalStatus="Approved", CustomerMetadataProperties={"a": "1"}
    )["ModelPackageArn"]
    moto.update_model_package(ModelPackageArn=arn, ApprovalDescription="seen")
    described = moto.describe_model_package(ModelPackageName=arn)
    assert "ModelApprovalStatus" not in described
    assert "CustomerMetadataProperties" not in described
    with pytest.raises(ClientError) as failed:
        moto.delete_model_package_group(ModelPackageGroupName="g")
    assert code(failed) == 500


def test_tags_are_added_twice(moto: Any) -> None:
    arn = moto.create_training_job(**sm.training("nowhere", "true"))["TrainingJobArn"]
    for value in ("1", "2"):
        moto.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": value}])
    assert len(moto.list_tags(ResourceArn=arn)["Tags"]) == 2


def test_builds_succeed_without_a_source(vanilla: Any) -> None:
    client = vanilla.client("codebuild")
    client.create_project(
        name="vanilla",
        source={"type": "S3", "location": "no-bucket/no.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=sm.ROLE,
    )
    build = client.start_build(projectName="vanilla")["build"]["id"]
    assert client.batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "SUCCEEDED"


def test_different_images_share_a_digest(vanilla: Any) -> None:
    client = vanilla.client("ecr")
    client.create_repository(repositoryName="vanilla")
    digests = {
        client.put_image(repositoryName="vanilla", imageManifest=DIGESTLESS % tag, imageTag=tag)["image"]["imageId"][
            "imageDigest"
        ]
        for tag in ("one", "two")
    }
    assert len(digests) == 1
