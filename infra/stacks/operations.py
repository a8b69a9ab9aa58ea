"""TandemOperations: people hear of what went wrong."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from infra.notifications import (
    ApprovalWantedRule,
    DeadLetterAlarm,
    FailedBatchRule,
    FailedSleepRule,
    FailureRule,
    Notifications,
    SpendingAlarm,
)
from infra.settings import Settings
from infra.stacks.pipeline import Pipeline
from infra.stacks.serving import Serving
from infra.stacks.storage import Storage


class Operations(Stack):
    """Topic, the rules of failed runs, batches and sleeps, the alarms of undelivered events and of the month's bill."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: Storage,
        serving: Serving,
        pipeline: Pipeline,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id, description="Tandem: notifications")
        topic = Notifications(self, "Notifications", key=storage.key)
        FailureRule(self, "Failure", topic=topic)
        FailedBatchRule(self, "FailedBatch", topic=topic)
        FailedSleepRule(self, "FailedSleep", topic=topic, machine_arn=serving.sleep.machine.state_machine_arn)
        ApprovalWantedRule(self, "ApprovalWanted", topic=topic)
        DeadLetterAlarm(self, "DeadLetterAlarm", queue=pipeline.dead_letters, topic=topic)
        SpendingAlarm(self, "SpendingAlarm", monthly_usd=settings.monthly_usd, topic=topic)
        CfnOutput(self, names.OUTPUT_TOPIC_ARN, value=topic.topic_arn)
