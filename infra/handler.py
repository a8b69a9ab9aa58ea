"""A Lambda function of ``functions/``: how each of them is packaged, logged, traced and allowed to do nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import Duration, IgnoreMode, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract import names
from infra.settings import Settings

ROOT = Path(__file__).parents[1]
POWERTOOLS_ACCOUNT = "017000801446"
POWERTOOLS_LAYER = "AWSLambdaPowertoolsPythonV3-python312-arm64:27"
"""AWS's public layer; https://docs.aws.amazon.com/powertools/python/latest/ lists its versions."""


def source(*folders: str) -> lambda_.Code:
    """Return these folders of the repository as code, so that imports are the same as in tests."""
    kept = [pattern for folder in folders for pattern in (f"!{folder}", f"!{folder}/**")]
    return lambda_.Code.from_asset(
        str(ROOT), exclude=["*", *kept, "**/__pycache__", "**/*.pyc"], ignore_mode=IgnoreMode.GIT
    )


class Handler(lambda_.Function):
    """One handler with its own role and log group; grants are added by whoever composes it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        entry: str,
        code: lambda_.Code,
        environment: Mapping[str, str],
        settings: Settings,
        seconds: int = 60,
        memory_mb: int = 512,
        layers: list[lambda_.ILayerVersion] | None = None,
        **options: Any,
    ) -> None:
        group = logs.LogGroup(scope, f"{id}Logs", retention=settings.retention, removal_policy=settings.removal_policy)
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        super().__init__(
            scope,
            id,
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.ARM_64,
            handler=entry,
            code=code,
            role=role,
            log_group=group,
            timeout=Duration.seconds(seconds),
            memory_size=memory_mb,
            tracing=lambda_.Tracing.ACTIVE,
            layers=layers if layers is not None else [powertools(scope)],
            environment={
                "POWERTOOLS_SERVICE_NAME": names.APP,
                "POWERTOOLS_METRICS_NAMESPACE": names.METRICS_NAMESPACE,
                "LOG_LEVEL": settings.log_level,
                **environment,
            },
            **options,
        )


def powertools(scope: Construct) -> lambda_.ILayerVersion:
    """Return AWS's Powertools layer of the stack's region, one construct a stack."""
    stack = Stack.of(scope)
    found = stack.node.try_find_child("Powertools")
    if isinstance(found, lambda_.LayerVersion):
        return found
    arn = f"arn:{stack.partition}:lambda:{stack.region}:{POWERTOOLS_ACCOUNT}:layer:{POWERTOOLS_LAYER}"
    return found or lambda_.LayerVersion.from_layer_version_arn(stack, "Powertools", arn)  # type: ignore[return-value]
