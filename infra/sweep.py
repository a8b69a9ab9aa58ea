"""The daily sweep of the inboxes: an upload whose event was lost gets its run all the same."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import keys, names
from infra import grants
from infra.scheduled import Scheduled
from infra.settings import Settings


class Sweep(Scheduled):
    """The function, which may look and send events to intake, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        data: s3.IBucket,
        ledger: dynamodb.ITable,
        intake: lambda_.IFunction,
        dead_letters: sqs.IQueue,
        settings: Settings,
    ) -> None:
        super().__init__(
            scope,
            id,
            entry="functions.sweep.handler",
            description="Uploads whose event was lost get their run",
            environment={
                names.DATA_BUCKET: data.bucket_name,
                names.LEDGER_TABLE: ledger.table_name,
                names.INTAKE_ARN: intake.function_arn,
            },
            dead_letters=dead_letters,
            settings=settings,
        )
        grants.rows(self.function, ledger, "GetItem")
        grants.invoke(self.function, intake)
        self._list(data)

    def _list(self, data: s3.IBucket) -> None:
        """Allow listing: the folders of tenants and projects by name, versions in inboxes alone."""
        folders = {"StringLike": {"s3:prefix": ["", "*/"]}, "StringEquals": {"s3:delimiter": "/"}}
        grants.allow(self.function, ["s3:ListBucket"], [data.bucket_arn], **folders)
        inboxes = {"StringLike": {"s3:prefix": f"*/{keys.INBOX}"}}
        grants.allow(self.function, ["s3:ListBucketVersions"], [data.bucket_arn], **inboxes)
