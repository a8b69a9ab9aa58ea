"""The daily sweep of the inboxes: an upload whose event was lost gets its run all the same."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import keys, names
from infra import grants
from infra.handler import Handler, source
from infra.rules import reliably
from infra.settings import Settings

EVERY = Duration.days(1)


class Sweep(Construct):
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
        super().__init__(scope, id)
        function = Handler(
            self,
            "Function",
            entry="functions.sweep.handler",
            code=source("functions", "contract"),
            environment={
                names.DATA_BUCKET: data.bucket_name,
                names.LEDGER_TABLE: ledger.table_name,
                names.INTAKE_ARN: intake.function_arn,
            },
            settings=settings,
            seconds=900,
            dead_letter_queue=dead_letters,
        )
        grants.encrypt(function, dead_letters.encryption_master_key)
        grants.rows(function, ledger, "GetItem")
        grants.invoke(function, intake)
        self._list(function, data)
        events.Rule(
            self,
            "Schedule",
            description="Uploads whose event was lost get their run",
            schedule=events.Schedule.rate(EVERY),
            targets=[reliably(function, dead_letters)],
        )

    @staticmethod
    def _list(function: Handler, data: s3.IBucket) -> None:
        """Allow listing: the folders of tenants and projects by name, versions in inboxes alone."""
        folders = {"StringLike": {"s3:prefix": ["", "*/"]}, "StringEquals": {"s3:delimiter": "/"}}
        grants.allow(function, ["s3:ListBucket"], [data.bucket_arn], **folders)
        inboxes = {"StringLike": {"s3:prefix": f"*/{keys.INBOX}"}}
        grants.allow(function, ["s3:ListBucketVersions"], [data.bucket_arn], **inboxes)
