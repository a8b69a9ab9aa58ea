"""TandemStorage: everything that holds data."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from infra.buckets import LogBucket, PrivateBucket
from infra.key import Key
from infra.ledger import Ledger
from infra.network import Network
from infra.settings import Settings
from infra.trail import Trail, TrailBucket, let_encrypt


class Storage(Stack):
    """Key, buckets, ledger; the trail of who touched them and the network of what does, where they are wanted."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id, description="Tandem: data, artifacts, ledger")
        self.key = Key(self, "Key", settings=settings)
        access_logs = LogBucket(self, "AccessLogs", settings=settings)
        self.data = PrivateBucket(
            self, "Data", key=self.key, access_logs=access_logs, settings=settings,
            noncurrent_days=settings.rule_days("old_data"),
        )  # fmt: skip
        self.artifacts = PrivateBucket(
            self, "Artifacts", key=self.key, access_logs=access_logs, settings=settings,
            noncurrent_days=settings.rule_days("old_artifacts"),
        )  # fmt: skip
        self.ledger = Ledger(self, "Ledger", key=self.key, settings=settings)
        self.network = Network(self, "Network", settings=settings) if settings.vpc else None
        if settings.trail:
            let_encrypt(self.key)
            trails = TrailBucket(self, "TrailLogs", key=self.key, access_logs=access_logs, settings=settings)
            Trail(
                self, "Trail", key=self.key, bucket=trails, objects_of=[self.data, self.artifacts], ledger=self.ledger
            )
        CfnOutput(self, names.OUTPUT_DATA_BUCKET, value=self.data.bucket_name)
        CfnOutput(self, names.OUTPUT_ARTIFACTS_BUCKET, value=self.artifacts.bucket_name)
        CfnOutput(self, names.OUTPUT_KEY_ARN, value=self.key.key_arn)
        CfnOutput(self, names.OUTPUT_LEDGER_TABLE, value=self.ledger.table_name)
