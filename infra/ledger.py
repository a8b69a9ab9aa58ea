"""The ledger: the one DynamoDB table. What its rows are is in ``contract/ledger.py``."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from contract import ledger
from infra.settings import Settings


class Ledger(dynamodb.Table):
    """Pay per request, encrypted, recoverable to any second of the last 35 days, and not deleted by mistake."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey, settings: Settings) -> None:
        text = dynamodb.AttributeType.STRING
        super().__init__(
            scope,
            id,
            partition_key=dynamodb.Attribute(name="pk", type=text),
            sort_key=dynamodb.Attribute(name="sk", type=text),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=settings.keep_data,
            time_to_live_attribute="expires",  # of leases
            removal_policy=settings.removal_policy,
        )
        self.add_global_secondary_index(
            index_name=ledger.BY_PROJECT,
            partition_key=dynamodb.Attribute(name="project", type=text),
            sort_key=dynamodb.Attribute(name="started", type=text),
        )
        self.add_global_secondary_index(
            index_name=ledger.BY_SLEEP, partition_key=dynamodb.Attribute(name="sleep", type=text)
        )
