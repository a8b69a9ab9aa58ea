"""The daily retention: what is older than its kind is kept goes (``contract/retention.py`` has the table)."""

from __future__ import annotations

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import names, retention
from infra import grants
from infra.scheduled import Scheduled
from infra.settings import Settings


class Retention(Scheduled):
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
        super().__init__(
            scope,
            id,
            entry="functions.retention.handler",
            description="What is older than its kind is kept goes",
            environment={
                names.DATA_BUCKET: data.bucket_name,
                names.ARTIFACTS_BUCKET: artifacts.bucket_name,
                names.KEEP_DAYS: settings.keep_days,
            },
            dead_letters=dead_letters,
            settings=settings,
        )
        for name, bucket in ((retention.DATA, data), (retention.ARTIFACTS, artifacts)):
            grants.allow(self.function, ["s3:ListBucket"], [bucket.bucket_arn])
            for place in retention.places(name, settings.days):
                grants.delete(self.function, bucket, f"*/{place}*")
