"""The key that encrypts everything Tandem stores: one, because each costs a dollar a month."""

from __future__ import annotations

from typing import Any

import jsii
from aws_cdk import Aws, IAspect
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from infra.settings import Settings


class Key(kms.Key):
    """A rotating customer key, which EventBridge, CloudWatch and Budgets may use for encrypted topics, queues and logs.

    Without that grant their messages would vanish silently, and so would EventBridge's with a condition on the
    source: SNS supports none in a key's policy for EventBridge ("Key management", Amazon SNS Developer Guide). The
    policies of the topic and the queue say who may send.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            description="Tandem: buckets, ledger, notifications, images, logs",
            enable_key_rotation=True,
            removal_policy=settings.removal_policy,
        )
        self._let_publish("events.amazonaws.com")
        for service in ("cloudwatch", "budgets"):
            self._let_publish(f"{service}.amazonaws.com", StringEquals={"aws:SourceAccount": Aws.ACCOUNT_ID})
        self._let_log()

    def _let_publish(self, service: str, **conditions: Any) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's policy: this key
                conditions=conditions,
            )
        )

    def _let_log(self) -> None:
        """Let CloudWatch Logs encrypt this account's log groups ("Encrypt log data using KMS", its User Guide)."""
        groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:*"
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],  # in a key's policy: this key
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        )


@jsii.implements(IAspect)
class EncryptedLogs:
    """Every log group of a scope, whoever made it, is encrypted with a key."""

    def __init__(self, key: kms.IKey) -> None:
        self._key = key

    def visit(self, node: IConstruct) -> None:
        """Encrypt, if it is a log group."""
        if isinstance(node, logs.CfnLogGroup):
            node.kms_key_id = self._key.key_arn
