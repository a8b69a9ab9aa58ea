"""The roles of SageMaker's machines: one for training and processing, one for the endpoints' containers."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import keys
from infra import grants

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


class SageMakerRole(iam.Role):
    """A role that SageMaker's machines take: logs and metrics, images of some repositories, nothing else yet."""

    def __init__(self, scope: Construct, id: str, *, repository_arns: Sequence[str], log_groups: str) -> None:
        super().__init__(scope, id, assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        grants.allow(self, PULL, list(repository_arns))
        grants.allow(self, ["ecr:GetAuthorizationToken"], ["*"])  # has no resource
        metrics = {"cloudwatch:namespace": "/aws/sagemaker/*"}
        grants.allow(self, ["cloudwatch:PutMetricData"], ["*"], StringLike=metrics)  # has no resource
        group = Stack.of(self).format_arn(
            service="logs", resource="log-group", resource_name=log_groups, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        grants.allow(self, ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], [group, f"{group}:*"])
        grants.allow(self, ["logs:DescribeLogStreams"], [group])


class JobRole(SageMakerRole):
    """What the machines of training and processing jobs may do."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        registry_account: str,
        image_repositories: Sequence[str],
        data: s3.IBucket,
        artifacts: s3.IBucket,
        inputs: list[assets.Asset],
    ) -> None:
        registry = f"arn:{Aws.PARTITION}:ecr:{Aws.REGION}:{registry_account}:repository"
        images = [f"{registry}/{repository}" for repository in image_repositories]
        super().__init__(scope, id, repository_arns=images, log_groups="/aws/sagemaker/*")
        grants.read(self, data, keys.salt("*"))
        grants.read(self, artifacts, "*/runs/*")
        grants.write(self, artifacts, "*/runs/*")
        grants.encrypt_output(self, artifacts)
        grants.delete(self, artifacts, f"*/runs/*/{keys.CHECKPOINTS}*")  # training keeps the latest ones only
        for asset in inputs:
            grants.allow(self, ["s3:GetObject"], [asset.bucket.arn_for_objects(asset.s3_object_key)])
            prefix = {"s3:prefix": [asset.s3_object_key]}
            grants.allow(self, ["s3:ListBucket"], [asset.bucket.bucket_arn], StringLike=prefix)


class FunctionRole(iam.Role):
    """What the Lambda functions that serve models may do: write their logs, and fetch their model."""

    def __init__(self, scope: Construct, id: str, *, artifacts: s3.IBucket, logs: logs.ILogGroup) -> None:
        super().__init__(scope, id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        logs.grant_write(self)
        grants.read(self, artifacts, f"*/runs/*/{keys.MODEL}")


class ModelRole(SageMakerRole):
    """What the endpoints' containers may do: fetch their image and their model, leave what is captured, and read and
    answer what waits in a queue."""

    def __init__(self, scope: Construct, id: str, *, repository: ecr.IRepository, artifacts: s3.IBucket) -> None:
        super().__init__(
            scope, id, repository_arns=[repository.repository_arn], log_groups="/aws/sagemaker/Endpoints/*"
        )
        grants.read(self, artifacts, f"*/runs/*/{keys.MODEL}")
        grants.write(self, artifacts, keys.capture_prefix("*", "*") + "*")
        asynchronous = keys.async_prefix("*", "*")
        grants.read(self, artifacts, f"{asynchronous}{keys.ASYNC_REQUESTS}*")
        for folder in (keys.ASYNC_ANSWERS, keys.ASYNC_FAILURES):
            grants.write(self, artifacts, f"{asynchronous}{folder}*")
        grants.encrypt_output(self, artifacts)
        grants.describe_alarms(self, self)  # of rollouts
