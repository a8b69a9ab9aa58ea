"""The serving image: its registry, and the CodeBuild project that builds it in the account."""

from __future__ import annotations

from aws_cdk import Duration, IgnoreMode
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import names
from infra import grants
from infra.handler import ROOT
from infra.settings import Settings

TAG_LENGTH = 16


class Repository(ecr.Repository):
    """Images by the hash of their source: a tag never changes its meaning, and old versions can be rolled back to."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=key,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[
                ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(7), rule_priority=1)
            ],
            empty_on_delete=not settings.keep_data,
            removal_policy=settings.removal_policy,
        )
        served = grants.function_arn(self, names.function("*", "*"))
        self.add_to_resource_policy(
            iam.PolicyStatement(  # Lambda fetches images itself, for functions that serve models
                principals=[iam.ServicePrincipal("lambda.amazonaws.com")],
                actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                # of a function, or of one of its versions
                conditions={"ArnLike": {"aws:SourceArn": [served, f"{served}:*"]}},
            )
        )


class ImageBuild(codebuild.Project):
    """Builds ``contract/`` + ``serving/`` with serving/Dockerfile, and pushes it under the hash of both."""

    def __init__(
        self, scope: Construct, id: str, *, repository: ecr.IRepository, key: kms.IKey, settings: Settings
    ) -> None:
        source = assets.Asset(
            scope,
            "ServingSource",
            path=str(ROOT),
            exclude=["*", "!contract", "!contract/**", "!serving", "!serving/**", "**/__pycache__", "**/*.pyc"],
            ignore_mode=IgnoreMode.GIT,
        )
        self.tag = source.asset_hash[:TAG_LENGTH]
        super().__init__(
            scope,
            id,
            source=codebuild.Source.s3(bucket=source.bucket, path=source.s3_object_key),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,  # x86_64, as serverless inference wants
                compute_type=codebuild.ComputeType.SMALL,
                privileged=True,  # Docker needs it
            ),
            environment_variables={
                names.SERVING_IMAGE_REPOSITORY: codebuild.BuildEnvironmentVariable(value=repository.repository_uri),
                names.SERVING_IMAGE_TAG: codebuild.BuildEnvironmentVariable(value=self.tag),
            },
            build_spec=codebuild.BuildSpec.from_object(BUILD),
            encryption_key=key,
            grant_report_group_permissions=False,
            timeout=Duration.minutes(30),
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(
                    log_group=logs.LogGroup(
                        scope, f"{id}Logs", retention=settings.retention, removal_policy=settings.removal_policy
                    )
                )
            ),
        )
        self.repository = repository
        repository.grant_pull_push(self)


IMAGE = f'"${names.SERVING_IMAGE_REPOSITORY}:${names.SERVING_IMAGE_TAG}"'
REGISTRY = f'"${{{names.SERVING_IMAGE_REPOSITORY}%%/*}}"'
BUILD = {
    "version": "0.2",
    "phases": {
        "pre_build": {
            "commands": [
                f"aws ecr get-login-password | docker login --username AWS --password-stdin {REGISTRY}",
            ]
        },
        "build": {
            "commands": [
                # SageMaker refuses OCI image indexes, which provenance and SBOM attestations need.
                f"docker build --provenance=false --sbom=false --tag {IMAGE} --file serving/Dockerfile .",
                # Tags never change, so when another build was faster its image is there, and is as good.
                f"docker push {IMAGE} || docker pull {IMAGE}",
            ]
        },
    },
}
