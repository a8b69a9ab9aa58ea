"""Who is told what: runs that failed or were stopped, versions to approve, and events that reached nobody."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import names
from contract.run import Outcome


class Notifications(sns.Topic):
    """The topic that people subscribe to, encrypted, TLS only; this account's alarms may publish to it.

    A topic with a policy of its own has lost SNS's default one, which would have let them.
    """

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey) -> None:
        super().__init__(scope, id, display_name="Tandem", master_key=key, enforce_ssl=True)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )


class FailureRule(events.Rule):
    """A run that FAILED or was STOPPED -> a message that a person can read."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        def field(name: str) -> str:
            return events.EventField.from_path(f"$.detail.{name}")

        message = (
            f"Tandem run {field('run')} of {field('tenant')}/{field('project')} ended as {field('outcome')}.\n"
            f"Reasons: {field('summary')}\nExecution: {field('execution_arn')}\n"
            f"More: tandem report {field('run')}"
        )
        super().__init__(
            scope,
            id,
            description="A run failed or was stopped",
            event_pattern=events.EventPattern(
                source=[names.EVENT_SOURCE],
                detail_type=[names.EVENT_RUN_SETTLED],
                detail={"outcome": [Outcome.FAILED.value, Outcome.STOPPED.value]},
            ),
            targets=[targets.SnsTopic(topic, message=events.RuleTargetInput.from_text(message))],
        )


class ApprovalWantedRule(events.Rule):
    """A version waits for a person -> a message that says which, why and how."""

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        def field(name: str) -> str:
            return events.EventField.from_path(f"$.detail.{name}")

        message = (
            f"Tandem: version {field('version')} of {field('tenant')}/{field('project')} waits for your approval, "
            f"for {field('hours')} hours.\nWhy it is better: {field('summary')}\n"
            f"Look at it: tandem report {field('run')}\nApprove it: {field('how')}"
        )
        super().__init__(
            scope,
            id,
            description="A version waits to be approved",
            event_pattern=events.EventPattern(source=[names.EVENT_SOURCE], detail_type=[names.EVENT_APPROVAL_WANTED]),
            targets=[targets.SnsTopic(topic, message=events.RuleTargetInput.from_text(message))],
        )


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
