"""The grants that CDK has no method for, each as narrow as the service allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct


def arn(scope: Construct, service: str, resource: str, name: str) -> str:
    """Return the ARN ``service:...:resource/name`` of the stack's account and region; ``name`` may be a pattern."""
    return Stack.of(scope).format_arn(service=service, resource=resource, resource_name=name)


def execution_arn(scope: Construct, machine: str) -> str:
    """Return the ARN pattern of a state machine's executions."""
    return Stack.of(scope).format_arn(
        service="states", resource="execution", resource_name=f"{machine}:*", arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def machine_arn(scope: Construct, machine: str) -> str:
    """Return the ARN of a state machine by its name."""
    return Stack.of(scope).format_arn(
        service="states", resource="stateMachine", resource_name=machine, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def allow(who: iam.IGrantable, actions: Sequence[str], resources: Sequence[str], **conditions: Any) -> None:
    """Allow actions on resources; ``conditions`` are IAM's, by operator."""
    who.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
    )


def read(who: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow reading any version of the objects that match, and listing, without which a missing one is a 403."""
    allow(who, ["s3:GetObject", "s3:GetObjectVersion"], [bucket.arn_for_objects(pattern)])
    allow(who, ["s3:ListBucket"], [bucket.bucket_arn], StringLike={"s3:prefix": [pattern]})
    if bucket.encryption_key:
        bucket.encryption_key.grant_decrypt(who)


def write(who: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow writing the objects that match."""
    allow(who, ["s3:PutObject", "s3:AbortMultipartUpload"], [bucket.arn_for_objects(pattern)])
    if bucket.encryption_key:
        bucket.encryption_key.grant_encrypt_decrypt(who)  # a multipart upload decrypts, too


def delete(who: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow deleting the objects that match; the bucket keeps their versions."""
    allow(who, ["s3:DeleteObject"], [bucket.arn_for_objects(pattern)])


def wait_for(who: iam.IGrantable, scope: Construct, *rules: str) -> None:
    """Allow what a ``.sync`` integration does to hear of the end: managed EventBridge rules of these names."""
    resources = [arn(scope, "events", "rule", rule) for rule in rules]
    allow(who, ["events:PutTargets", "events:PutRule", "events:DescribeRule"], resources)


def pass_role(who: iam.IGrantable, role: iam.IRole, service: str) -> None:
    """Allow handing a role to one service."""
    allow(who, ["iam:PassRole"], [role.role_arn], StringEquals={"iam:PassedToService": service})
