"""The key that encrypts everything Tandem stores: one, because each costs a dollar a month."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings import Settings


class Key(kms.Key):
    """A rotating customer key, which EventBridge and CloudWatch may use for encrypted topics and queues.

    Without that grant their messages would vanish silently, and so would EventBridge's with a condition on the
    source: SNS supports none in a key's policy for EventBridge ("Key management", Amazon SNS Developer Guide). The
    policies of the topic and the queue say who may send.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            description="Tandem: buckets, ledger, notifications",
            enable_key_rotation=True,
            removal_policy=settings.removal_policy,
        )
        self._let_publish("events.amazonaws.com")
        self._let_publish("cloudwatch.amazonaws.com", StringEquals={"aws:SourceAccount": Aws.ACCOUNT_ID})

    def _let_publish(self, service: str, **conditions: Any) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's policy: this key
                conditions=conditions,
            )
        )
