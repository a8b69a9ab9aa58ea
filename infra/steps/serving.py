"""What an endpoint is made of: the serving image, the model and the endpoint configuration."""

from __future__ import annotations

from infra.asl import State, caught, task, transient
from infra.steps.deployment_parts import SAGEMAKER_ERRORS, DeploymentParts, on_failure

BUILD_SECONDS = 2700


def find_image(*, then: str, missing: str, failed: str) -> State:
    """Look for the serving image's tag, the hash of its source."""
    return task(
        "aws-sdk:ecr:describeImages",
        {
            "RepositoryName": "{% $deployment.repository %}",
            "ImageIds": [{"ImageTag": "{% $deployment.image_tag %}"}],
        },
        then=then,
        seconds=60,
        retry=[transient("Ecr.ServerException", "Ecr.SdkClientException")],
        output={"image": "{% $deployment.image_uri %}"},
        catch=[caught("Ecr.ImageNotFoundException", then=missing), *on_failure(failed)],
    )


def build_image(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Build the image in the account, so that whoever deploys needs no Docker."""
    return task(
        "codebuild:startBuild.sync",
        {"ProjectName": parts.build_project},
        then=then,
        seconds=BUILD_SECONDS,
        retry=[transient("CodeBuild.AWSCodeBuildException", "CodeBuild.SdkClientException", first=10)],
        output={"image": "{% $deployment.image_uri %}"},
        catch=on_failure(failed),
    )


def create_model(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Join the image and the archive; the container reaches no network."""
    return task(
        "aws-sdk:sagemaker:createModel",
        {
            "ModelName": "{% $deployment.model_name %}",
            "PrimaryContainer": {
                "Image": "{% $deployment.image_uri %}",
                "ModelDataUrl": "{% $deployment.model_data_url %}",
            },
            "ExecutionRoleArn": parts.model_role,
            "EnableNetworkIsolation": True,
            "Tags": "{% $deployment.tags %}",
        },
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=3)],
        output={"model": "{% $deployment.model_name %}"},
        catch=on_failure(failed),
    )


def create_configuration(*, then: str, failed: str) -> State:
    """Say how the model is served; the old configuration stays, so that rolling back needs no new one."""
    return task(
        "aws-sdk:sagemaker:createEndpointConfig",
        {
            "EndpointConfigName": "{% $deployment.config_name %}",
            "ProductionVariants": ["{% $deployment.variant %}"],
            "Tags": "{% $deployment.tags %}",
        },
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=3)],
        output={"configuration": "{% $deployment.config_name %}"},
        catch=on_failure(failed),
    )
