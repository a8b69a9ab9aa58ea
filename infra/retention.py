"""The daily retention: what is older than its kind is kept goes (``contract/retention.py`` has the table)."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import names, retention
from infra import grants
from infra.handler import Handler, source
from infra.rules import reliably
from infra.settings import Settings

EVERY = Duration.days(1)


class Retention(Construct):
    """The function, which may list the buckets and delete what is not kept for good, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        data: s3.IBucket,
        artifacts: s3.IBucket,
        dead_letters: sqs.IQueue,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        function = Handler(
            self,
            "Function",
            entry="functions.retention.handler",
            code=source("functions", "contract"),
            environment={
                names.DATA_BUCKET: data.bucket_name,
                names.ARTIFACTS_BUCKET: artifacts.bucket_name,
                names.KEEP_DAYS: settings.keep_days,
            },
            settings=settings,
            seconds=900,
            dead_letter_queue=dead_letters,
        )
        grants.encrypt(function, dead_letters.encryption_master_key)
        for name, bucket in ((retention.DATA, data), (retention.ARTIFACTS, artifacts)):
            grants.allow(function, ["s3:ListBucket"], [bucket.bucket_arn])
            for place in retention.places(name, settings.days):
                grants.delete(function, bucket, f"*/{place}*")
        events.Rule(
            self,
            "Schedule",
            description="What is older than its kind is kept goes",
            schedule=events.Schedule.rate(EVERY),
            targets=[reliably(function, dead_letters)],
        )
