"""What an endpoint is made of: the model and the endpoint configuration."""

from __future__ import annotations

from infra.asl import State, task, transient
from infra.steps.deployment_parts import SAGEMAKER_ERRORS, DeploymentParts, on_failure


def create_model(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Join the image and the archive; the container of an instance reaches no network.

    Serverless inference has no network isolation ("Serverless endpoints", Amazon SageMaker AI Developer Guide).
    """
    return task(
        "aws-sdk:sagemaker:createModel",
        {
            "ModelName": "{% $deployment.model_name %}",
            "PrimaryContainer": {
                "Image": "{% $deployment.image_uri %}",
                "ModelDataUrl": "{% $deployment.model_data_url %}",
            },
            "ExecutionRoleArn": parts.model_role,
            "EnableNetworkIsolation": "{% $deployment.target != 'serverless' %}",
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
