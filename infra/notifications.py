"""Who is told what: runs and batches that failed or were stopped, versions to approve, undelivered events."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import batch, names
from contract.run import Outcome
from infra.rules import execution_ends

SPENDING = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""When people are told: percent of the month's budget."""


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
    """An event of ours -> a message that a person can read.

    Args:
        detail_type: of contract.names.
        detail: what else the event must match; None for every one of its type.
        message: the text; :func:`_field` puts parts of the event into it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        topic: sns.ITopic,
        description: str,
        detail_type: str,
        message: str,
        detail: dict[str, list[str]] | None = None,
    ) -> None:
        super().__init__(
            scope,
            id,
            description=description,
            event_pattern=events.EventPattern(source=[names.EVENT_SOURCE], detail_type=[detail_type], detail=detail),
            targets=[targets.SnsTopic(topic, message=events.RuleTargetInput.from_text(message))],
        )


class FailureRule(MessageRule):
    """A run that FAILED or was STOPPED."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A run failed or was stopped",
            detail_type=names.EVENT_RUN_SETTLED,
            detail={"outcome": [Outcome.FAILED.value, Outcome.STOPPED.value]},
            message=(
                f"Tandem run {_field('run')} of {_field('tenant')}/{_field('project')} ended as {_field('outcome')}.\n"
                f"Reasons: {_field('summary')}\nExecution: {_field('execution_arn')}\n"
                f"More: tandem report {_field('run')}"
            ),
        )


class FailedBatchRule(MessageRule):
    """A batch that FAILED or was STOPPED."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A batch failed or was stopped",
            detail_type=names.EVENT_BATCH_ENDED,
            detail={"status": [batch.FAILED, batch.STOPPED]},
            message=(
                f"Tandem batch {_field('id')} of {_field('tenant')}/{_field('project')}, file {_field('file')}, ended "
                f"as {_field('status')}.\nReason: {_field('reason')}"
            ),
        )


class FailedSleepRule(events.Rule):
    """A model that could not be put to sleep, and costs money on, or could not be woken."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic, machine_arn: str) -> None:
        message = (
            f"Tandem: a model was not put to sleep, or not woken: {_field('name')}.\nReason: {_field('cause')}\n"
            "With sleeping hours it is tried again within a quarter of an hour; else by tandem sleep or tandem wake."
        )
        super().__init__(
            scope,
            id,
            description="A model was not put to sleep, or not woken",
            event_pattern=execution_ends(machine_arn, ["FAILED"]),
            targets=[targets.SnsTopic(topic, message=events.RuleTargetInput.from_text(message))],
        )


class ApprovalWantedRule(MessageRule):
    """A version that waits for a person: which, why and how."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            description="A version waits to be approved",
            detail_type=names.EVENT_APPROVAL_WANTED,
            message=(
                f"Tandem: version {_field('version')} of {_field('tenant')}/{_field('project')} waits for your "
                f"approval, for {_field('hours')} hours.\nWhy it is better: {_field('summary')}\n"
                f"Look at it: tandem report {_field('run')}\nApprove it: {_field('how')}"
            ),
        )


class SpendingAlarm(budgets.CfnBudget):
    """What the account spends in a month -> the topic: most of it, all of it, and when all of it is to be expected.

    The whole account: AWS Budgets sees a tag only after somebody has activated it for cost allocation.
    """

    def __init__(self, scope: Construct, id: str, *, monthly_usd: int, topic: sns.ITopic) -> None:
        spend = budgets.CfnBudget.SpendProperty(amount=monthly_usd, unit="USD")
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        super().__init__(
            scope,
            id,
            budget=budgets.CfnBudget.BudgetDataProperty(budget_type="COST", time_unit="MONTHLY", budget_limit=spend),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=percent
                    ),
                    subscribers=[subscriber],
                )
                for kind, percent in SPENDING
            ],
        )
        self.node.add_dependency(topic)  # with its policy: Budgets must be allowed to publish when it is made


class DeadLetterAlarm(cloudwatch.Alarm):
    """Any event in the queue -> the topic."""

    def __init__(self, scope: Construct, id: str, *, queue: sqs.IQueue, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            alarm_description="An upload or the end of a run reached no function: look into the dead-letter queue",
            metric=queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5), statistic="Maximum"),
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.add_alarm_action(actions.SnsAction(topic))
