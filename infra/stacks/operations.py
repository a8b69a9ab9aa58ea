"""TandemOperations: people hear of what went wrong, and can look up who did what."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from contract.runbooks import Runbook
from infra.alarms import ApiAlarm, DeadLetterAlarm, SleepScheduleAlarm, SpendingAlarm
from infra.audit import AuditTrail
from infra.notifications import (
    ApprovalWantedRule,
    FailedBatchRule,
    FailedRecoveryRule,
    FailedSleepRule,
    FailureRule,
    ModelAlarmRule,
    Notifications,
)
from infra.settings import Settings
from infra.stacks.api import PublicApi
from infra.stacks.pipeline import Pipeline
from infra.stacks.serving import Serving
from infra.stacks.storage import Storage


class Operations(Stack):
    """Topic, the rules of what people are told, the application's alarms and that of the bill, the audit trail."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: Storage,
        serving: Serving,
        pipeline: Pipeline,
        api: PublicApi | None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id, description="Tandem: notifications")
        topic = Notifications(self, "Notifications", key=storage.key)
        FailureRule(self, "Failure", topic=topic)
        FailedBatchRule(self, "FailedBatch", topic=topic)
        FailedSleepRule(self, "FailedSleep", topic=topic, machine_arn=serving.sleep.machine.state_machine_arn)
        recovering = [each.machine.state_machine_arn for each in (serving.deployer, serving.batch)]
        FailedRecoveryRule(self, "FailedRecovery", topic=topic, machine_arns=recovering)
        ApprovalWantedRule(self, "ApprovalWanted", topic=topic)
        ModelAlarmRule(self, "ModelErrors", topic=topic, what="errors", runbook=Runbook.MODEL_ERRORS)
        ModelAlarmRule(self, "ModelLatency", topic=topic, what="latency", runbook=Runbook.MODEL_LATENCY)
        DeadLetterAlarm(self, "DeadLetterAlarm", queue=pipeline.dead_letters, topic=topic)
        SleepScheduleAlarm(self, "SleepScheduleAlarm", sleepers=serving.sleep.sleepers, topic=topic)
        if api:
            ApiAlarm(self, "ApiAlarm", predict=api.api.predict, topic=topic)
        SpendingAlarm(self, "SpendingAlarm", monthly_usd=settings.monthly_usd, topic=topic)
        audit = AuditTrail(self, "AuditTrail", data=storage.data, settings=settings)
        CfnOutput(self, names.OUTPUT_AUDIT_LOGS, value=audit.logs.log_group_name)
        CfnOutput(self, names.OUTPUT_TOPIC_ARN, value=topic.topic_arn)
