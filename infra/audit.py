"""The audit trail: one log group, to which EventBridge writes what happened, and CloudTrail's word of who did it.

Nothing of ours writes it and nothing reads it at run time: the events are there anyway. Nobody can change a line of a
log group; who deletes it, or its lines' time runs out, is told by CloudTrail itself. `tandem audit` reads it.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Fn, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import names
from infra.rules import EXECUTION_ENDS
from infra.settings import Settings

Pattern = dict[str, Any]
KEYS = [{"wildcard": "*/inbox/*"}, {"wildcard": "*/batch/*"}, {"suffix": "/project.toml"}]
"""Of objects that people put into the data bucket, and that something follows from."""


def happenings(bucket: str) -> Pattern:
    """Match what happened: events of ours, uploads, deletions, executions, versions of models."""
    machines = [{"wildcard": f"*:stateMachine:{names.APP}-*"}]
    created = {"bucket": {"name": [bucket]}, "object": {"key": KEYS}}
    groups = [{"wildcard": names.model_group("*", "*")}]
    return {
        "$or": [
            {"source": [names.EVENT_SOURCE]},
            {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": created},
            {"source": ["aws.s3"], "detail-type": ["Object Deleted"], "detail": {"bucket": {"name": [bucket]}}},
            {"source": ["aws.states"], "detail-type": [EXECUTION_ENDS], "detail": {"stateMachineArn": machines}},
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Package State Change"],
                "detail": {"ModelPackageGroupName": groups},
            },
        ]
    }


def calls(bucket: str) -> Pattern:
    """Match CloudTrail's records of the calls by which people and programs make such things happen."""
    execution = {"executionArn": [{"wildcard": f"*:execution:{names.APP}-*"}]}
    group = names.model_group("*", "*")
    package = [{"wildcard": f"*:model-package/{group}/*"}]
    versions = [{"modelPackageArn": package}, {"modelPackageName": package},
                {"modelPackageGroupName": [{"wildcard": group}]}]  # fmt: skip
    verbs = [f"{verb}ModelPackage" for verb in ("Create", "Update", "Delete")]
    of: dict[str, Pattern] = {
        "states.amazonaws.com": {"$or": [{"responseElements": execution}, {"requestParameters": execution}]},
        "sagemaker.amazonaws.com": {"eventName": verbs, "requestParameters": {"$or": versions}},
        "s3.amazonaws.com": {"readOnly": [False], "requestParameters": {"bucketName": [bucket]}},
    }
    return {
        "detail-type": [names.CLOUDTRAIL_CALL],
        "detail": {"$or": [{"eventSource": [source], **more} for source, more in of.items()]},
    }


class AuditTrail(Construct):
    """The log group, and the rules that fill it."""

    def __init__(self, scope: Construct, id: str, *, data: s3.IBucket, settings: Settings) -> None:
        super().__init__(scope, id)
        self.logs = logs.LogGroup(
            self,
            "Logs",
            # EventBridge writes to groups of this prefix only; one that was kept is not in a next installation's way.
            log_group_name=f"{names.AUDIT_LOGS}-{_unique(self)}",
            retention=logs.RetentionDays.TEN_YEARS,
            removal_policy=settings.removal_policy,
        )
        writers = [iam.ServicePrincipal(f"{name}.amazonaws.com") for name in ("events", "delivery.logs")]
        policy = logs.ResourcePolicy(
            self,
            "Policy",
            policy_statements=[
                iam.PolicyStatement(
                    principals=writers,
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[self.logs.log_group_arn],
                )
            ],
        )
        # CDK's own target makes a custom resource for that policy.
        group = Stack.of(self).format_arn(service="logs", resource=f"log-group:{self.logs.log_group_name}")
        target = events.CfnRule.TargetProperty(id="AuditTrail", arn=group)
        patterns = {"Happenings": happenings(data.bucket_name), "Calls": calls(data.bucket_name)}
        for name, pattern in patterns.items():
            told = f"The audit trail: {name.lower()}"
            rule = events.CfnRule(self, name, description=told, event_pattern=pattern, targets=[target])
            rule.node.add_dependency(policy)


def _unique(scope: Construct) -> str:
    """Return the first part of the stack's UUID, which is the last part of its ARN."""
    return Fn.select(0, Fn.split("-", Fn.select(2, Fn.split("/", Stack.of(scope).stack_id))))
