"""The grants that CDK has no method for, each as narrow as the service allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import names

READING = {"GetItem", "BatchGetItem", "Query", "Scan"}
"""Actions on rows that change none."""


def arn(scope: Construct, service: str, resource: str, name: str) -> str:
    """Return the ARN ``service:...:resource/name`` of the stack's account and region; ``name`` may be a pattern."""
    return Stack.of(scope).format_arn(service=service, resource=resource, resource_name=name)


def function_arn(scope: Construct, name: str) -> str:
    """Return the ARN of a Lambda function by its name, which may be a pattern."""
    return Stack.of(scope).format_arn(
        service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def execution_arn(scope: Construct, machine: str) -> str:
    """Return the ARN pattern of a state machine's executions."""
    return Stack.of(scope).format_arn(
        service="states", resource="execution", resource_name=f"{machine}:*", arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def alarm_arn(scope: Construct, name: str) -> str:
    """Return the ARN of CloudWatch alarms; ``name`` may be a pattern."""
    return Stack.of(scope).format_arn(
        service="cloudwatch", resource="alarm", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def describe_alarms(who: iam.IGrantable, scope: Construct) -> None:
    """Allow looking at alarms: DescribeAlarms is asked of all of them or of none."""
    allow(who, ["cloudwatch:DescribeAlarms"], [alarm_arn(scope, "*")])


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


def read(
    who: iam.IGrantable, bucket: s3.IBucket, pattern: str, *, by_prefix: bool = False, encrypted_by_us: bool = True
) -> None:
    """Allow reading the objects that match, and listing, without which a missing one is a 403.

    Who asks for an object sends no prefix: S3 only looks whether listing is allowed, so the condition must hold then.
    With ``by_prefix`` it does not: no one may list the bucket as a whole, and a missing object is a 403. Objects that
    are not ``encrypted_by_us`` are by keys of tenants (``roles.open_outputs``).
    """
    allow(who, ["s3:GetObject"], [bucket.arn_for_objects(pattern)])
    _list(who, bucket, pattern, "StringLike" if by_prefix else "StringLikeIfExists")
    _use(who, bucket.encryption_key if encrypted_by_us else None, "kms:Decrypt")


def read_versions(who: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow reading versions by their ids, of objects that match, and listing."""
    allow(who, ["s3:GetObjectVersion"], [bucket.arn_for_objects(pattern)])
    _list(who, bucket, pattern, "StringLikeIfExists")
    _use(who, bucket.encryption_key, "kms:Decrypt")


def _list(who: iam.IGrantable, bucket: s3.IBucket, pattern: str, operator: str) -> None:
    allow(who, ["s3:ListBucket"], [bucket.bucket_arn], **{operator: {"s3:prefix": [pattern]}})


def write(who: iam.IGrantable, bucket: s3.IBucket, pattern: str, *, in_parts: bool = False) -> None:
    """Allow writing the objects that match; ``in_parts``, large ones too, as boto3's transfers do."""
    allow(who, ["s3:PutObject"], [bucket.arn_for_objects(pattern)])
    _use(who, bucket.encryption_key, "kms:GenerateDataKey")
    if in_parts:
        allow(who, ["s3:AbortMultipartUpload"], [bucket.arn_for_objects(pattern)])
        _use(who, bucket.encryption_key, "kms:Decrypt")


def log(who: iam.IGrantable, scope: Construct, group: str, streams: str) -> None:
    """Allow what SageMaker does to write the logs of a job or an endpoint; the names may be patterns.

    Of a group as a whole, too, IAM is asked with a stream behind it, though an empty one: an ARN that ends in the
    group's name allows nothing ("Overview of managing access permissions", Amazon CloudWatch Logs User Guide).
    """

    def named(name: str) -> str:
        return Stack.of(scope).format_arn(
            service="logs", resource="log-group", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )

    allow(who, ["logs:CreateLogGroup", "logs:DescribeLogStreams"], [named(f"{group}:*")])
    allow(who, ["logs:CreateLogStream", "logs:PutLogEvents"], [named(streams)])


def delete(who: iam.IGrantable, bucket: s3.IBucket, pattern: str) -> None:
    """Allow deleting the objects that match; the bucket keeps their versions."""
    allow(who, ["s3:DeleteObject"], [bucket.arn_for_objects(pattern)])


def rows(who: iam.IGrantable, table: dynamodb.ITable, *actions: str) -> None:
    """Allow actions on a table's rows, none on its indexes; its key may be asked what CDK's own grants allow."""
    allow(who, [f"dynamodb:{action}" for action in actions], [table.table_arn])
    _use(who, table.encryption_key, "kms:Decrypt", "kms:DescribeKey")
    if not set(actions) <= READING:
        _use(who, table.encryption_key, "kms:GenerateDataKey", "kms:Encrypt")


def scan(who: iam.IGrantable, table: dynamodb.ITable, index: str) -> None:
    """Allow reading one index of a table as a whole."""
    allow(who, ["dynamodb:Scan"], [f"{table.table_arn}/index/{index}"])
    _use(who, table.encryption_key, "kms:Decrypt", "kms:DescribeKey")


def invoke(who: iam.IGrantable, *functions: lambda_.IFunction) -> None:
    """Allow calling functions, without the right to call their older versions."""
    allow(who, ["lambda:InvokeFunction"], [function.function_arn for function in functions])


def announce(who: iam.IGrantable, scope: Construct) -> None:
    """Allow putting events of ours on the default bus."""
    own = {"events:source": names.EVENT_SOURCE}
    allow(who, ["events:PutEvents"], [arn(scope, "events", "event-bus", "default")], StringEquals=own)


def encrypt(who: iam.IGrantable, key: kms.IKey | None) -> None:
    """Allow what sending to an encrypted queue, or writing an object, does with its key."""
    _use(who, key, "kms:GenerateDataKey", "kms:Decrypt")


SCALING = "sagemaker.application-autoscaling.amazonaws.com"
SCALING_ROLE = f"aws-service-role/{SCALING}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


def scale(who: iam.IGrantable, scope: Construct, *actions: str) -> None:
    """Allow actions of Application Auto Scaling on endpoints' variants.

    A scalable target's ARN has no name in it, so that conditions narrow it down ("How Application Auto Scaling works
    with IAM", Application Auto Scaling User Guide).
    """
    conditions = {
        "application-autoscaling:service-namespace": names.SCALABLE["ServiceNamespace"],
        "application-autoscaling:scalable-dimension": names.SCALABLE["ScalableDimension"],
    }
    targets = arn(scope, "application-autoscaling", "scalable-target", "*")
    allow(who, [f"application-autoscaling:{action}" for action in actions], [targets], StringEquals=conditions)


def begin_scaling(who: iam.IGrantable, scope: Construct) -> None:
    """Allow registering variants and putting their policies.

    The service asks the caller for the permissions that it uses, and makes its role when it is first used ("Auto
    scaling prerequisites", Amazon SageMaker AI Developer Guide; "Service-linked roles for Application Auto Scaling").
    The guide has them on everything: an endpoint whose capacities changed may have a configuration of SageMaker's name.
    """
    scale(who, scope, "RegisterScalableTarget", "PutScalingPolicy", "DeregisterScalableTarget")
    endpoint = arn(scope, "sagemaker", "endpoint", "*--*")
    allow(who, ["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"], [endpoint])
    allow(who, ["sagemaker:DescribeEndpointConfig"], [arn(scope, "sagemaker", "endpoint-config", "*")])
    own = alarm_arn(scope, "TargetTracking-endpoint/*--*")
    allow(who, ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"], [own])
    describe_alarms(who, scope)
    role = Stack.of(scope).format_arn(service="iam", region="", resource="role", resource_name=SCALING_ROLE)
    allow(who, ["iam:CreateServiceLinkedRole"], [role], StringEquals={"iam:AWSServiceName": SCALING})


def _use(who: iam.IGrantable, key: kms.IKey | None, *actions: str) -> None:
    if key:
        allow(who, actions, [key.key_arn])


def wait_for(who: iam.IGrantable, scope: Construct, *rules: str) -> None:
    """Allow what a ``.sync`` integration does to hear of the end: managed EventBridge rules of these names."""
    resources = [arn(scope, "events", "rule", rule) for rule in rules]
    allow(who, ["events:PutTargets", "events:PutRule", "events:DescribeRule"], resources)
