"""Who is told what: what failed or was stopped, versions to approve, models in service that do badly."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from contract import batch, names
from contract.run import Outcome
from contract.runbooks import Runbook
from infra.rules import STARTED_BY_END, execution_ends


class Notifications(sns.Topic):
    """The topic that people subscribe to, encrypted, TLS only; this account's alarms and budgets may publish to it.

    A topic with a policy of its own has lost SNS's default one, which would have let them.
    """

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey) -> None:
        super().__init__(scope, id, display_name="Tandem", master_key=key, enforce_ssl=True)
        for service in ("cloudwatch", "budgets"):
            self.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["sns:Publish"],
                    resources=[self.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )


def _field(name: str) -> str:
    """Return what a message has in place of a field of its event's detail."""
    return events.EventField.from_path(f"$.detail.{name}")


class MessageRule(events.Rule):
    """An event -> a message that a person can read, with the runbook that says what to do.

    Args:
        pattern: of the event.
        message: the text; :func:`_field` puts parts of the event into it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        topic: sns.ITopic,
        description: str,
        pattern: events.EventPattern,
        message: str,
        runbook: Runbook,
    ) -> None:
        # The blank ends a link at the message's end, however a reader shows the line's.
        text = events.RuleTargetInput.from_text(f"{message} \nRunbook: {runbook.page}")
        super().__init__(
            scope,
            id,
            description=description,
            event_pattern=pattern,
            targets=[targets.SnsTopic(topic, message=text)],
        )


def _ours(detail_type: str, detail: dict[str, list[str]] | None = None) -> events.EventPattern:
    """Match events of ours; ``detail`` is what else they must be."""
    return events.EventPattern(source=[names.EVENT_SOURCE], detail_type=[detail_type], detail=detail)


class FailureRule(MessageRule):
    """A run that FAILED or was STOPPED."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A run failed or was stopped",
            pattern=_ours(names.EVENT_RUN_SETTLED, {"outcome": [Outcome.FAILED.value, Outcome.STOPPED.value]}),
            message=(
                f"Tandem run {_field('run')} of {_field('tenant')}/{_field('project')} ended as {_field('outcome')}.\n"
                f"Reasons: {_field('summary')}\nExecution: {_field('execution_arn')}\n"
                f"More: tandem report {_field('run')}"
            ),
            runbook=Runbook.RUN_FAILED,
        )


class FailedBatchRule(MessageRule):
    """A batch that FAILED or was STOPPED."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A batch failed or was stopped",
            pattern=_ours(names.EVENT_BATCH_ENDED, {"status": [batch.FAILED, batch.STOPPED]}),
            message=(
                f"Tandem batch {_field('id')} of {_field('tenant')}/{_field('project')}, file {_field('file')}, ended "
                f"as {_field('status')}.\nReason: {_field('reason')}"
            ),
            runbook=Runbook.BATCH_FAILED,
        )


class FailedSleepRule(MessageRule):
    """A model that could not be put to sleep, and costs money on, or could not be woken."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic, machine_arn: str) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A model was not put to sleep, or not woken",
            pattern=execution_ends([machine_arn], ["FAILED"]),
            message=(
                f"Tandem: a model was not put to sleep, or not woken: {_field('name')}.\nReason: {_field('cause')}\n"
                "What AWS refused is tried once more at once; with sleeping hours, all is tried again within a quarter "
                "of an hour. Else: tandem sleep, tandem wake."
            ),
            runbook=Runbook.SLEEP_FAILED,
        )


class FailedRecoveryRule(MessageRule):
    """What was to put right what a stopped deployment or batch left half-done failed itself: nothing follows it."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic, machine_arns: list[str]) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="Nothing puts right what a stopped deployment or batch left",
            pattern=execution_ends(machine_arns, ["FAILED"], input=[{"wildcard": STARTED_BY_END}]),
            message=(
                "Tandem: a deployment or a batch was stopped, and what was to put right what it left half-done failed: "
                f"{_field('executionArn')}.\nReason: {_field('error')}: {_field('cause')}"
            ),
            runbook=Runbook.RECOVERY_FAILED,
        )


class ApprovalWantedRule(MessageRule):
    """A version that waits for a person: which, why and how."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A version waits to be approved",
            pattern=_ours(names.EVENT_APPROVAL_WANTED),
            message=(
                f"Tandem: version {_field('version')} of {_field('tenant')}/{_field('project')} waits for your "
                f"approval, for {_field('hours')} hours.\nWhy it is better: {_field('summary')}\n"
                f"Look at it: tandem report {_field('run')}\nApprove it: {_field('how')}"
            ),
            runbook=Runbook.APPROVAL_WANTED,
        )


class ModelAlarmRule(MessageRule):
    """An alarm of a model in service, or of a version on its way there, went off.

    Deployments make these alarms, which take a version back while traffic moves; afterwards they go on watching. That
    on a queue without an instance is not for people: it brings one back.
    """

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic, what: str, runbook: Runbook) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description=f"A model's alarm of its {what} went off",
            pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                detail={
                    # Of names.alarm's, these parts: EventBridge refuses a pattern with all of them as too complex.
                    "alarmName": [{"wildcard": f"*--*--{what}"}],
                    "state": {"value": ["ALARM"]},
                },
            ),
            message=f"Tandem: the alarm {_field('alarmName')} went off.\nWhy: {_field('state.reason')}",
            runbook=runbook,
        )
