"""The key that encrypts everything Tandem stores: one, because each costs a dollar a month."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings import Settings

PUBLISHERS = ("events.amazonaws.com", "cloudwatch.amazonaws.com")


class Key(kms.Key):
    """A rotating customer key, which EventBridge and CloudWatch may use for encrypted topics and queues.

    Without that grant their messages would vanish silently.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            description="Tandem: buckets, ledger, notifications",
            enable_key_rotation=True,
            removal_policy=settings.removal_policy,
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(name) for name in PUBLISHERS],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's policy: this key
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
