"""Every finding of NIST 800-53 (cdk-nag's pack, revision 5) that stays, with the reason why."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import App
from constructs import IConstruct

from infra.stacks.api import PublicApi
from infra.stacks.storage import Storage
from infra.suppressions import LOGGED, acknowledge

PACK = "NIST.800.53.R5"

EVERYWHERE = {
    "LambdaConcurrency": (
        "Reserved concurrency is taken from the account's other functions. A run calls one function at a time, and the "
        "API's stage and usage plans limit what its functions are asked."
    ),
    "LambdaDLQ": (
        "Step Functions and API Gateway wait for the answers of these: an error is the state's, with its Retry and "
        "Catch, or the caller's. Functions that events call have dead-letter queues, and an alarm watches them."
    ),
    "LambdaInsideVPC": (
        "They hold no connection but those to AWS's APIs, by TLS and with a role of their own. In a VPC each of those "
        "needs an interface endpoint, at 7 dollars a month and zone: the setting tandem:vpc makes them."
    ),
    "IAMNoInlinePolicy": "A role's policy is its own: it allows what one function or machine does, and goes with it.",
}
STORAGE = {
    "S3BucketReplicationEnabled": (
        "Every version of an object is kept; what was uploaded can be uploaded again, and models trained again from it "
        "(`tandem reproduce`). A copy in another region doubles the cost: a team that needs one adds a rule."
    ),
    "S3DefaultEncryptionKMS": "The bucket of access logs: S3 delivers those to SSE-S3 buckets only.",
    "CloudTrailCloudWatchLogsEnabled": (
        "The trail lies in a locked bucket, where Athena reads it. A copy in CloudWatch Logs would cost as much again."
    ),
    "VPCDefaultSecurityGroupClosed": (
        "Nothing is a member of the private network's default group, and closing it needs a custom resource."
    ),
    "EC2RestrictedCommonPorts": (
        "The private network's group lets in its own members alone: hosts of one job meet at any ports."
    ),
    "DynamoDBInBackupPlan": "The ledger has point-in-time recovery, of the last 35 days.",
}
API = {
    "APIGWAssociatedWithWAF": "A web ACL costs money when idle; stage and usage plans throttle; a team can add one.",
    "APIGWCacheEnabledAndEncrypted": "Predictions are not cached: a cache is a machine that costs by the hour.",
    "APIGWExecutionLoggingEnabled": LOGGED,
    "APIGWSSLEnabled": "There is no backend behind HTTP: API Gateway calls functions by IAM.",
}


def explain(app: App, *, storage: Storage, api: PublicApi | None) -> None:
    """Acknowledge the findings, those of one stack at that stack."""
    _acknowledge(app, EVERYWHERE)
    _acknowledge(storage, STORAGE)
    if api:
        _acknowledge(api, API)


def _acknowledge(scope: IConstruct, findings: Mapping[str, str]) -> None:
    acknowledge(scope, {f"{PACK}-{rule}": why for rule, why in findings.items()}, PACK)
