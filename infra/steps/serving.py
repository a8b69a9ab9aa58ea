"""What an endpoint is made of: the model, and the configurations of staging, of the shadow and of the live endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract import names
from contract.async_calls import MAX_PAYLOAD_MB
from infra.asl import State, code, expression, task, transient
from infra.steps.deployment_parts import SAGEMAKER_ERRORS, DeploymentParts, on_refusal

QUEUED = {names.SERVING_MAX_PAYLOAD: str(MAX_PAYLOAD_MB)}
"""What the server is told where requests wait in a queue: they may be larger than InvokeEndpoint's."""


def create_model(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Join the image and the archive; the container of an instance reaches no network.

    Serverless inference has no network isolation ("Serverless endpoints", Amazon SageMaker AI Developer Guide).
    """
    arguments = {
        "ModelName": "{% $deployment.model_name %}",
        "PrimaryContainer": {
            "Image": "{% $deployment.image_uri %}",
            "ModelDataUrl": "{% $deployment.model_data_url %}",
            "Environment": expression(f"$deployment.target = 'async' ? {code(QUEUED)} : {{}}"),
        },
        "ExecutionRoleArn": parts.model_role,
        "EnableNetworkIsolation": "{% $deployment.target != 'serverless' %}",
        "Tags": "{% $deployment.tags %}",
    }
    return task(
        "aws-sdk:sagemaker:createModel",
        _in_network(arguments, parts.network) if parts.network else arguments,
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, "States.Timeout", times=3)],
        output={"model": "{% $deployment.model_name %}"},
        catch=on_refusal(failed),
    )


def _in_network(arguments: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    """Put a model into a network; serverless inference knows none."""
    return expression(f"$merge([{code(arguments)}, $deployment.target = 'serverless' ? {{}} : {code(network)}])")


def create_staging_configuration(*, then: str, failed: str) -> State:
    """Say how the golden samples are answered: by the smallest machine of its kind, which captures nothing."""
    variants = {"ProductionVariants": ["{% $deployment.staging_variant %}"]}
    return _configuration("$deployment.staging_config", variants, then=then, failed=failed)


def create_configuration(*, then: str, failed: str) -> State:
    """Say how the model is served; the plan knows whether alone or beside the champion, and what is captured."""
    return _configuration("$deployment.config_name", "{% $deployment.configuration %}", then=then, failed=failed)


def create_shadow_configuration(*, then: str, failed: str) -> State:
    """Say how the champion serves while the new version gets a copy of its requests."""
    wanted = ("ProductionVariants", "ShadowProductionVariants")
    variants = {name: expression(f"$deployment.shadow.{name}") for name in wanted}
    return _configuration("$deployment.shadow.config_name", variants, then=then, failed=failed)


def _configuration(name: str, variants: Any, *, then: str, failed: str) -> State:
    common = {"EndpointConfigName": expression(name), "Tags": "{% $deployment.tags %}"}
    arguments = (
        {**common, **variants}
        if isinstance(variants, dict)
        else expression(f"$merge([{code(common)}, {code(variants)}])")
    )
    return task(
        "aws-sdk:sagemaker:createEndpointConfig",
        arguments,
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, "States.Timeout", times=3)],
        output={"configuration": expression(name)},
        catch=on_refusal(failed),
    )
