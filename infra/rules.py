"""The EventBridge rules that start, settle and tidy, and the queue of what they could not deliver."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import packages
from infra.steps import endpoints

EXECUTION_ENDS = "Step Functions Execution Status Change"
UNSUCCESSFUL = ["FAILED", "TIMED_OUT", "ABORTED"]
STOPPED = {"status": ["ABORTED", "TIMED_OUT"]}
STARTED_BY_END = '*"aws.states"*'
"""The input of an execution that another one's end has started."""
UNCAUGHT = ("States.", "DynamoDB.", "EventBridge.")
"""A result that is too large escapes every Catch; the others come from the states before and after them."""
LEFT_UNDONE = {
    "deployment": (*UNCAUGHT, endpoints.NOT_BACK),
    "batch": UNCAUGHT,
    "sleep": (*UNCAUGHT, "SageMaker.", "ApplicationAutoScaling."),
}
"""Beginnings of the errors after which a machine starts again. What SageMaker refuses now, it may take a little later:
until then another version than the champion serves, or a model is awake, and costs, that the ledger says sleeps."""


class DeadLetters(sqs.Queue):
    """Events that reached no function in a day of trying, or that a function failed on; an alarm watches it."""

    def __init__(self, scope: Construct, id: str, *, key: kms.IKey) -> None:
        super().__init__(
            scope,
            id,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )


class UploadRule(events.Rule):
    """An object in any project's inbox -> intake, which decides whether it starts a run."""

    def __init__(
        self, scope: Construct, id: str, *, bucket: s3.IBucket, intake: lambda_.IFunction, dead_letters: sqs.IQueue
    ) -> None:
        super().__init__(
            scope,
            id,
            description="An object arrives in an inbox",
            event_pattern=object_arrives(bucket, "*/inbox/*"),
            targets=[reliably(intake, dead_letters)],
        )


class SettleRule(events.Rule):
    """A run that failed, timed out or was stopped -> settle, because no Catch sees those."""

    def __init__(
        self, scope: Construct, id: str, *, machine_arn: str, settle: lambda_.IFunction, dead_letters: sqs.IQueue
    ) -> None:
        super().__init__(
            scope,
            id,
            description="A run ended without passing Settle run",
            event_pattern=execution_ends([machine_arn], UNSUCCESSFUL),
            targets=[reliably(settle, dead_letters)],
        )


class RedriveRule(events.Rule):
    """A run was redriven -> resume, which covers what is left, or stops it; one that it redrove itself is covered."""

    def __init__(
        self, scope: Construct, id: str, *, machine_arn: str, resume: lambda_.IFunction, dead_letters: sqs.IQueue
    ) -> None:
        super().__init__(
            scope,
            id,
            description="A run was redriven",
            event_pattern=execution_ends([machine_arn], ["RUNNING"], redriveCount=[{"numeric": [">", 0]}]),
            targets=[reliably(resume, dead_letters)],
        )


class ApprovalRule(events.Rule):
    """A version was approved or rejected in the registry -> decide, which wakes the run that waits for it."""

    def __init__(self, scope: Construct, id: str, *, decide: lambda_.IFunction, dead_letters: sqs.IQueue) -> None:
        super().__init__(
            scope,
            id,
            description="A model version was approved or rejected",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [{"wildcard": "*--*"}],
                    "ModelApprovalStatus": [packages.APPROVED, packages.REJECTED],
                },
            ),
            targets=[reliably(decide, dead_letters)],
        )


class StoppedRule(events.Rule):
    """An execution that was stopped, ran out of time, or failed half-way -> its machine again.

    It gets the event itself, takes over what the dead one held, and puts right what that left half-done. One that
    fails at that itself is not followed by another, which would fail likewise, for ever.
    """

    def __init__(
        self, scope: Construct, id: str, *, what: str, machine: sfn.IStateMachine, dead_letters: sqs.IQueue
    ) -> None:
        failed = {
            "status": ["FAILED"],
            "error": [{"prefix": error} for error in LEFT_UNDONE[what]],
            "input": [{"anything-but": {"wildcard": STARTED_BY_END}}],
        }
        super().__init__(
            scope,
            id,
            description=f"A {what} was stopped, or failed half-way",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=[EXECUTION_ENDS],
                detail={"stateMachineArn": [machine.state_machine_arn], "$or": [STOPPED, failed]},
            ),
            targets=[targets.SfnStateMachine(machine, dead_letter_queue=dead_letters)],
        )


def object_arrives(bucket: s3.IBucket, pattern: str) -> events.EventPattern:
    """Match each new object, or version of one, whose key is like ``pattern``."""
    return events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [bucket.bucket_name]}, "object": {"key": [{"wildcard": pattern}]}},
    )


def execution_ends(machine_arns: list[str], statuses: list[str], **more: Any) -> events.EventPattern:
    """Match the executions of some machines that end with one of ``statuses``; ``more`` is what else they must be."""
    return events.EventPattern(
        source=["aws.states"],
        detail_type=[EXECUTION_ENDS],
        detail={"stateMachineArn": machine_arns, "status": statuses, **more},
    )


def reliably(function: lambda_.IFunction, dead_letters: sqs.IQueue) -> targets.LambdaFunction:
    """Deliver for a day. What Lambda took counts as delivered: errors of its own send a function's events to its own
    dead letters, after Lambda's two retries.
    """
    return targets.LambdaFunction(
        function, dead_letter_queue=dead_letters, retry_attempts=185, max_event_age=Duration.days(1)
    )
