"""The trail: who read, wrote and deleted which object, and who changed the ledger, kept where nobody can change it."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import names
from infra.buckets import LogBucket, PrivateBucket
from infra.settings import Settings

LOCKED_DAYS, KEPT_DAYS = 90, 365
SERVICE = iam.ServicePrincipal("cloudtrail.amazonaws.com")


def trail_arn(scope: Construct) -> str:
    """Return the trail's ARN; its name is given, because the key's and the bucket's policies name it first."""
    return Stack.of(scope).format_arn(service="cloudtrail", resource="trail", resource_name=names.TRAIL)


def let_encrypt(key: kms.Key) -> None:
    """Let the trail encrypt with a key ("Configure AWS KMS key policies for CloudTrail", its User Guide)."""
    arn = trail_arn(key)
    trails = f"arn:{Aws.PARTITION}:cloudtrail:*:{Aws.ACCOUNT_ID}:trail/*"
    statements = {
        "kms:GenerateDataKey*": {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trails}},
        "kms:DescribeKey": {},
    }
    for action, more in statements.items():
        conditions = {"StringEquals": {"aws:SourceArn": arn}, **more}
        key.add_to_resource_policy(
            iam.PolicyStatement(principals=[SERVICE], actions=[action], resources=["*"], conditions=conditions)
        )


class TrailBucket(PrivateBucket):
    """Where CloudTrail writes; for 90 days nobody deletes what it wrote, unless they may bypass that and say so.

    It has no bucket key: with one, CloudTrail would have to be let decrypt, too, or there would be no trail ("Configure
    AWS KMS key policies for CloudTrail", its User Guide).
    """

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, access_logs: LogBucket, settings: Settings) -> None:
        super().__init__(
            scope, id, key=key, access_logs=access_logs, noncurrent_days=1, settings=settings, bucket_key=False
        )
        bucket = self.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        if settings.keep_data:
            bucket.object_lock_enabled = True
            retention = s3.CfnBucket.DefaultRetentionProperty(mode="GOVERNANCE", days=LOCKED_DAYS)
            rule = s3.CfnBucket.ObjectLockRuleProperty(default_retention=retention)
            bucket.object_lock_configuration = s3.CfnBucket.ObjectLockConfigurationProperty(
                object_lock_enabled="Enabled", rule=rule
            )
        self.add_lifecycle_rule(id="Expire", expiration=Duration.days(KEPT_DAYS))
        own = {"aws:SourceArn": trail_arn(self)}
        owned = {**own, "s3:x-amz-acl": "bucket-owner-full-control"}
        self._let("s3:GetBucketAcl", self.bucket_arn, own)
        self._let("s3:PutObject", self.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*"), owned)

    def _let(self, action: str, resource: str, equals: dict[str, str]) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[SERVICE], actions=[action], resources=[resource], conditions={"StringEquals": equals}
            )
        )


class Trail(cloudtrail.CfnTrail):
    """Calls on objects, changes of the ledger, and the account's calls that change something: who started, stopped or
    approved what comes to the audit trail (infra/audit.py) from a trail's records alone.

    An account's first copy of such management events is free; beside a trail of its own this one costs $2 for 100,000.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        key: kms.IKey,
        bucket: TrailBucket,
        objects_of: list[s3.IBucket],
        ledger: dynamodb.ITable,
    ) -> None:
        objects = [bucket.arn_for_objects("") for bucket in objects_of]
        super().__init__(
            scope,
            id,
            trail_name=names.TRAIL,
            is_logging=True,
            s3_bucket_name=bucket.bucket_name,
            kms_key_id=key.key_arn,
            enable_log_file_validation=True,
            advanced_event_selectors=[
                cloudtrail.CfnTrail.AdvancedEventSelectorProperty(
                    name="Calls",
                    field_selectors=[
                        _where("eventCategory", equal_to=["Management"]),
                        _where("readOnly", equal_to=["false"]),
                    ],
                ),
                _selector("Objects", "AWS::S3::Object", _where("resources.ARN", starts_with=objects)),
                _selector(
                    "Ledger", "AWS::DynamoDB::Table",
                    _where("resources.ARN", equal_to=[ledger.table_arn]), _where("readOnly", equal_to=["false"]),
                ),
            ],
        )  # fmt: skip
        assert bucket.policy
        self.node.add_dependency(bucket.policy)


def _selector(
    name: str, kind: str, *where: cloudtrail.CfnTrail.AdvancedFieldSelectorProperty
) -> cloudtrail.CfnTrail.AdvancedEventSelectorProperty:
    what = [_where("eventCategory", equal_to=["Data"]), _where("resources.type", equal_to=[kind]), *where]
    return cloudtrail.CfnTrail.AdvancedEventSelectorProperty(name=name, field_selectors=what)


def _where(
    field: str, *, equal_to: list[str] | None = None, starts_with: list[str] | None = None
) -> cloudtrail.CfnTrail.AdvancedFieldSelectorProperty:
    return cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field=field, equal_to=equal_to, starts_with=starts_with)
