"""The buckets: people's data, the pipeline's artifacts, and the log of who read them."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Settings


class LogBucket(s3.Bucket):
    """Server access logs of the other buckets; S3 delivers them to SSE-S3 buckets only."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="Expire",
                    expiration=Duration.days(settings.rule_days("access_logs")),
                    noncurrent_version_expiration=Duration.days(1),
                )
            ],
            removal_policy=settings.removal_policy,
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[self.arn_for_objects("*")],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )


class PrivateBucket(s3.Bucket):
    """A versioned bucket, encrypted with our key, TLS only, whose events reach EventBridge."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        key: kms.IKey,
        access_logs: LogBucket,
        noncurrent_days: int,
        settings: Settings,
        bucket_key: bool = True,
    ) -> None:
        super().__init__(
            scope,
            id,
            versioned=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=bucket_key,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="Tidy",
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                    noncurrent_version_expiration=Duration.days(noncurrent_days),
                    expired_object_delete_marker=True,
                )
            ],
            removal_policy=settings.removal_policy,
        )
        bucket = self.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        # CDK's own property makes the log bucket's policy name this bucket, so that it could only come afterwards.
        bucket.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=access_logs.bucket_name, log_file_prefix=f"{id.lower()}/"
        )
        assert access_logs.policy
        self.node.add_dependency(access_logs.policy)
        # CDK's own event_bridge_enabled deploys a custom resource for what is a plain property.
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
