"""The roles that containers take: a tenant's own, which reach its prefix and its key, and nothing of another tenant's.

The names of tenants are known at run time only: state machines and functions hand over the role of the tenant that a
run is of. What all tenants' containers need of the application itself (images, code, metrics) is in a managed policy a
kind, so that an update of the application reaches the roles of every tenant at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import keys, names
from infra import grants
from infra.asl import expression

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
SAGEMAKER, LAMBDA = "sagemaker.amazonaws.com", "lambda.amazonaws.com"
SERVICES = {
    names.ROLE_JOB: SAGEMAKER,
    names.ROLE_MODEL: SAGEMAKER,
    names.ROLE_TRANSFORM: SAGEMAKER,
    names.ROLE_FUNCTION: LAMBDA,
}
"""Who takes the roles of a kind."""
TENANTS_KEYS = {"ForAnyValue:StringLike": {"kms:ResourceAliases": names.key_alias("*")}}
"""The condition that a key is a tenant's ("Use aliases to control access to KMS keys", AWS KMS Developer Guide)."""


def role_arn(tenant: str, kind: str) -> str:
    """Return the ARN of a tenant's role, or of every tenant's where the name is a pattern."""
    return names.role_arn(tenant, kind, partition=Aws.PARTITION, account=Aws.ACCOUNT_ID, region=Aws.REGION)


def key_arn(tenant: str) -> str:
    """Return the ARN of the alias of a tenant's key, as requests to encrypt may name it."""
    return f"arn:{Aws.PARTITION}:kms:{Aws.REGION}:{Aws.ACCOUNT_ID}:{names.key_alias(tenant)}"


def role_of(tenant: str, kind: str) -> str:
    """Return the expression of the ARN of a tenant's role; ``tenant`` is JSONata code of its name."""
    return expression(f"'{role_arn(_spliced(tenant), kind)}'")


def key_of(tenant: str) -> str:
    """Return the expression of the ARN of the alias of a tenant's key; ``tenant`` is JSONata code of its name."""
    return expression(f"'{key_arn(_spliced(tenant))}'")


def _spliced(tenant: str) -> str:
    return f"' & {tenant} & '"


def hand_over(who: iam.IGrantable, kind: str) -> None:
    """Allow handing the roles of a kind, any tenant's and no other, to the service that takes them."""
    allowed = {"iam:PassedToService": SERVICES[kind]}
    grants.allow(who, ["iam:PassRole"], [role_arn("*", kind)], StringEquals=allowed)


def open_outputs(who: iam.IGrantable, scope: Construct) -> None:
    """Allow reading what jobs wrote, which is encrypted with the keys of their tenants."""
    grants.allow(who, ["kms:Decrypt"], [grants.arn(scope, "kms", "key", "*")], **TENANTS_KEYS)


class Common(iam.ManagedPolicy):
    """What the containers of a kind need of the application, whosever they are; nothing yet."""

    def __init__(self, scope: Construct, id: str, *, kind: str) -> None:
        super().__init__(scope, id, managed_policy_name=names.common_policy(kind, Aws.REGION), path=f"/{names.APP}/")


class CommonContainers(Common):
    """The same of SageMaker's containers: images, and metrics."""

    def __init__(self, scope: Construct, id: str, *, kind: str, repository_arns: Sequence[str]) -> None:
        super().__init__(scope, id, kind=kind)
        grants.allow(self, PULL, list(repository_arns))
        grants.allow(self, ["ecr:GetAuthorizationToken"], ["*"])  # has no resource
        metrics = {"cloudwatch:namespace": "/aws/sagemaker/*"}
        grants.allow(self, ["cloudwatch:PutMetricData"], ["*"], StringLike=metrics)  # has no resource


class CommonFunctions(Common):
    """The same of Lambda functions: the key of models that were made before their tenant had one."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey) -> None:
        super().__init__(scope, id, kind=names.ROLE_FUNCTION)
        grants.allow(self, ["kms:Decrypt"], [key.key_arn])


class CommonJobs(CommonContainers):
    """The same of training and processing jobs: their code too, and logs.

    SageMaker has one log group for the training jobs of an account and one for its processing jobs; the streams are
    named after jobs, and those after runs, not after tenants. The role may write there, and read nothing.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        registry_account: str,
        image_repositories: Sequence[str],
        inputs: Sequence[assets.Asset],
    ) -> None:
        registry = f"arn:{Aws.PARTITION}:ecr:{Aws.REGION}:{registry_account}:repository"
        images = [f"{registry}/{repository}" for repository in image_repositories]
        super().__init__(scope, id, kind=names.ROLE_JOB, repository_arns=images)
        for group in (names.TRAINING_LOGS, names.PROCESSING_LOGS):
            grants.log(self, self, group, f"{group}:*")
        for asset in inputs:
            grants.allow(self, ["s3:GetObject"], [asset.bucket.arn_for_objects(asset.s3_object_key)])
            prefix = {"s3:prefix": [asset.s3_object_key]}
            grants.allow(self, ["s3:ListBucket"], [asset.bucket.bucket_arn], StringLike=prefix)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a tenant's roles are about.

    Attributes:
        tenant: its name.
        data, artifacts: the buckets, in which it has a prefix.
        key: ARN of its key.
    """

    tenant: str
    data: s3.IBucket
    artifacts: s3.IBucket
    key: str

    def read(self, role: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
        """Allow reading objects of the tenant, and listing what is below its own prefix alone."""
        grants.read(role, bucket, f"{self.tenant}/{pattern}", by_prefix=True)

    def read_outputs(self, role: iam.IGrantable, pattern: str) -> None:
        """Allow reading what the tenant's jobs wrote."""
        self.read(role, self.artifacts, pattern)
        grants.allow(role, ["kms:Decrypt"], [self.key])

    def write_outputs(self, role: iam.IGrantable, pattern: str) -> None:
        """Allow writing artifacts that the tenant's key encrypts.

        What SageMaker asks for besides is in "How to use SageMaker AI execution roles", its Developer Guide.
        """
        objects = self.artifacts.arn_for_objects(f"{self.tenant}/{pattern}")
        grants.allow(role, ["s3:PutObject", "s3:AbortMultipartUpload"], [objects])
        grants.allow(role, ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"], [self.key])


class TenantRole(iam.Role):
    """A role of a tenant, which only the service of its kind takes, for this account."""

    def __init__(self, scope: Construct, id: str, *, kind: str, reach: Reach) -> None:
        of_this_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        # Lambda documents no such condition for the roles of its functions.
        conditions = of_this_account if SERVICES[kind] == SAGEMAKER else None
        super().__init__(
            scope,
            id,
            role_name=names.role(reach.tenant, kind, Aws.REGION),
            path=names.role_path(reach.tenant),
            assumed_by=iam.ServicePrincipal(SERVICES[kind], conditions=conditions),
            managed_policies=[self._common(scope, kind)],
        )

    @staticmethod
    def _common(scope: Construct, kind: str) -> Any:
        name = f"{names.APP}/{names.common_policy(kind, Aws.REGION)}"
        arn = Stack.of(scope).format_arn(service="iam", region="", resource="policy", resource_name=name)
        return iam.ManagedPolicy.from_managed_policy_arn(scope, f"Common-{kind}", arn)


class JobRole(TenantRole):
    """What the machines of a tenant's training and processing jobs may do."""

    def __init__(self, scope: Construct, id: str, *, reach: Reach) -> None:
        super().__init__(scope, id, kind=names.ROLE_JOB, reach=reach)
        reach.read(self, reach.data, keys.salt("")[1:])
        reach.read_outputs(self, "*/runs/*")
        reach.write_outputs(self, "*/runs/*")
        grants.encrypt(self, reach.artifacts.encryption_key)  # checkpoints, which no request names a key for
        # Training keeps the latest checkpoints only, and SageMaker deletes what a container does.
        grants.delete(self, reach.artifacts, f"{reach.tenant}/*/runs/*/{keys.CHECKPOINTS}*")


class ModelRole(TenantRole):
    """What the containers of a tenant's endpoints may do: fetch their model, leave what is captured, and read and
    answer what waits in a queue."""

    def __init__(self, scope: Construct, id: str, *, reach: Reach) -> None:
        super().__init__(scope, id, kind=names.ROLE_MODEL, reach=reach)
        group = f"{names.ENDPOINT_LOGS}/{reach.tenant}--*"
        grants.log(self, self, group, f"{group}:*")
        reach.read_outputs(self, f"*/runs/*/{keys.MODEL}")
        capture, asynchronous = keys.capture_prefix("", "*")[1:], keys.async_prefix("", "*")[1:]
        reach.write_outputs(self, f"{capture}*")
        reach.read(self, reach.artifacts, f"{asynchronous}{keys.ASYNC_REQUESTS}*")
        for folder in (keys.ASYNC_ANSWERS, keys.ASYNC_FAILURES):
            reach.write_outputs(self, f"{asynchronous}{folder}*")
        grants.describe_alarms(self, self)  # of rollouts


class TransformRole(TenantRole):
    """What the containers of a tenant's transform jobs may do: fetch the model, read requests, write answers."""

    def __init__(self, scope: Construct, id: str, *, reach: Reach) -> None:
        super().__init__(scope, id, kind=names.ROLE_TRANSFORM, reach=reach)
        group = names.TRANSFORM_LOGS
        grants.log(self, self, group, f"{group}:log-stream:{reach.tenant}--*")
        reach.read_outputs(self, f"*/runs/*/{keys.MODEL}")
        reach.read(self, reach.artifacts, f"*/{keys.BATCH}/*")
        reach.write_outputs(self, f"*/{keys.BATCH}/*")


class FunctionRole(TenantRole):
    """What a tenant's Lambda functions that serve models may do: write their logs, and fetch their model."""

    def __init__(self, scope: Construct, id: str, *, reach: Reach, log_group: str) -> None:
        super().__init__(scope, id, kind=names.ROLE_FUNCTION, reach=reach)
        streams = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            # Lambda names the streams of a group that functions share: 2026/11/21/<function>[<version>]<id>
            resource_name=f"{log_group}:log-stream:????/??/??/{reach.tenant}--*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        grants.allow(self, ["logs:CreateLogStream", "logs:PutLogEvents"], [streams])
        model = reach.artifacts.arn_for_objects(f"{reach.tenant}/*/runs/*/{keys.MODEL}")
        grants.allow(self, ["s3:GetObject"], [model])
        grants.allow(self, ["kms:Decrypt"], [reach.key])
