"""The alarms of the application itself; those of models are made by their deployments (functions/rollout.py)."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import names
from contract.runbooks import Runbook
from infra.sleep import EVERY

SPENDING = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""When people are told: percent of the month's budget."""


class TopicAlarm(cloudwatch.Alarm):
    """At least so much of a metric in each of the last periods -> the topic. Without data all is well."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        topic: sns.ITopic,
        says: str,
        runbook: Runbook,
        metric: cloudwatch.IMetric,
        threshold: float,
        periods: int,
    ) -> None:
        super().__init__(
            scope,
            id,
            alarm_description=runbook.after(says),
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self.add_alarm_action(actions.SnsAction(topic))


class DeadLetterAlarm(TopicAlarm):
    """Any event in the queue."""

    def __init__(self, scope: Construct, id: str, *, queue: sqs.IQueue, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            says="An upload or the end of a run reached no function: look into the dead-letter queue",
            runbook=Runbook.UNDELIVERED_EVENT,
            metric=queue.metric_approximate_number_of_messages_visible(period=Duration.minutes(5), statistic="Maximum"),
            threshold=1,
            periods=1,
        )


class SleepScheduleAlarm(TopicAlarm):
    """Two looks in a row failed at a model; one alone is made good by the next, which sees what it missed."""

    def __init__(self, scope: Construct, id: str, *, sleepers: lambda_.IFunction, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            says="Sleeping hours are not kept: a model may cost money all night, or not be there in the morning",
            runbook=Runbook.SLEEP_SCHEDULE,
            metric=sleepers.metric_errors(period=EVERY, statistic="Sum"),
            threshold=1,
            periods=2,
        )


class ApiAlarm(TopicAlarm):
    """The function that answers predictions breaks again and again.

    Not the API's own count of 5xx: a model that sleeps, as it should, is answered 503. A model that breaks has alarms
    of its own.
    """

    def __init__(self, scope: Construct, id: str, *, predict: lambda_.IFunction, topic: sns.ITopic) -> None:
        super().__init__(
            scope,
            id,
            topic=topic,
            says="The public API breaks: its function fails, or does not answer in time",
            runbook=Runbook.API_ERRORS,
            metric=predict.metric_errors(period=Duration.minutes(5), statistic="Sum"),
            threshold=1,
            periods=2,
        )


class SpendingAlarm(budgets.CfnBudget):
    """What the account spends in a month -> the topic: most of it, all of it, and when all of it is to be expected.

    The whole account: AWS Budgets sees a tag only after somebody has activated it for cost allocation. A budget has no
    description, so its name says where the runbook is; it has a region, because budgets are one list an account.
    """

    def __init__(self, scope: Construct, id: str, *, monthly_usd: int, topic: sns.ITopic) -> None:
        spend = budgets.CfnBudget.SpendProperty(amount=monthly_usd, unit="USD")
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        super().__init__(
            scope,
            id,
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=Runbook.SPENDING.after(f"{names.APP} {Aws.REGION}"),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=spend,
            ),
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
