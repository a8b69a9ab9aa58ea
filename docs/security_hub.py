"""The page of Security Hub's controls: which the application meets, and which it does not, with the reason.

Controls of AWS Security Hub CSPM, its User Guide of November 2026: all of SageMaker's, and of the other services those
that look at types of resources that the application makes. What is said to be met is held against the templates and the
state machines by tests/infra/test_security_hub.py, by the same ids.
"""

from __future__ import annotations

MET: dict[str, str] = {
    "SageMaker.5": "Models are isolated from the network; serverless inference knows no isolation",
    "S3.2, S3.3, S3.8": "Buckets refuse public access",
    "S3.5": "Buckets take TLS only",
    "S3.6": "No policy of a bucket lets another account in",
    "S3.9": "Server access logging; the logs' own bucket logs nothing",
    "S3.10, S3.13": "Lifecycle rules",
    "S3.11": "Event notifications, to EventBridge; not of the logs' own bucket",
    "S3.12": "Access by policies, not by ACLs",
    "S3.14": "Versions",
    "S3.17": "Encryption with KMS; S3 delivers access logs to SSE-S3 buckets only",
    "DynamoDB.1": "The ledger's capacity scales: it is paid by request",
    "DynamoDB.2": "Point-in-time recovery",
    "DynamoDB.5": "The ledger is tagged",
    "DynamoDB.6": "Deletion protection, unless `tandem:keep_data=false`",
    "Lambda.1": "No function may be called by everybody",
    "Lambda.2": "Supported runtimes",
    "Lambda.6": "Functions are tagged",
    "Lambda.7": "Functions are traced by X-Ray",
    "KMS.4": "The key rotates",
    "KMS.5": "The key's policy lets nobody in who is not of this account or of AWS's services",
    "StepFunctions.1": "State machines log",
    "SNS.1": "Topics are encrypted with KMS",
    "SNS.4": "Topics are not public",
    "SQS.1": "Queues are encrypted",
    "SQS.3": "Queues are not public",
    "ECR.1": "Images are scanned when they are pushed",
    "ECR.2": "Tags of images never change",
    "ECR.3": "Images have a lifecycle policy",
    "ECR.5": "Images are encrypted with the application's key",
    "CloudTrail.2": "The trail is encrypted",
    "CloudTrail.4": "The trail's files are validated",
    "CloudTrail.6, CloudTrail.7": "The trail's bucket is private and logs access",
    "CodeBuild.2": "No credentials in the build's variables",
    "CodeBuild.4": "Builds log",
    "APIGateway.3": "The public API is traced by X-Ray",
    "CloudWatch.15, CloudWatch.17": "Every alarm acts",
    "IAM.1, IAM.21": "No policy allows everything, or all actions of a service",
}  # fmt: skip
"""What is met, in words."""

IN_PRIVATE_NETWORK = {
    "Lambda.3": "Functions run in a VPC",
    "Lambda.5": "They run in more than one zone",
    "EC2.6": "The VPC has flow logs",
    "EC2.15": "Subnets give no public addresses",
}
"""What is met with ``tandem:vpc=private``; without it, functions run in AWS's own network, and there is no VPC."""

NOT_MET = {
    "SageMaker.4": "`deploy.instances` is 1 by default, because two cost twice as much: set it to 2 in project.toml",
    "SageMaker.16": "SageMaker fetches models' images from the account's own private registry, not through a VPC",
    "S3.7": "No copy in another region: it would double the cost. A team that needs one adds a rule",
    "S3.15": "Only the trail is locked: people's data must be erasable (`tandem forget`)",
    "S3.20": "MFA delete can only be switched on by the account's root user",
    "S3.22, S3.23": "The trail records the application's objects, in its own region; the controls ask for all regions",
    "DynamoDB.4": "No backup plan: point-in-time recovery reaches back 35 days",
    "CloudTrail.5": "No copy of the trail in CloudWatch Logs: it would cost as much again. Athena reads the bucket",
    "APIGateway.1": "Its logs need a role that is set for a whole account; functions log requests, without payloads",
    "APIGateway.4": "A web ACL costs money when idle; stage and usage plans throttle. A team can add one",
    "CloudWatch.16": "Logs are kept 30 days; the control asks for a year: `tandem:log_days=365`",
    "CodeBuild.5": "The build of the serving image is privileged: Docker needs it",
    "EC2.2": "The private network's default group has no members; closing it needs a custom resource",
}
"""What is not, and why."""

NOT_THERE = {
    "SageMaker.1, .2, .3, .8, .21": "notebook instances",
    "SageMaker.6, .7": "app image configurations and images of Studio",
    "SageMaker.9, .11": "data quality job definitions",
    "SageMaker.10, .20": "explainability job definitions: Evaluate attributes in a job of its own, isolated",
    "SageMaker.12, .15": "bias job definitions: Evaluate measures by group in a job of its own, isolated",
    "SageMaker.13, .25": "model quality job definitions",
    "SageMaker.14, .22": "monitoring schedules",
    "SageMaker.17, .18": "feature groups",
    "SageMaker.19": "inference pipelines",
    "SageMaker.23, .24": "inference experiments: shadows and A/B tests are variants of endpoints",
    "S3.19, S3.24": "access points",
    "DynamoDB.3, .7": "DAX clusters",
    "StepFunctions.2": "activities",
    "APIGateway.5": "caches",
    "APIGateway.8, .9": "HTTP and WebSocket APIs",
}
"""Kinds of resources that the application never makes."""


def page() -> str:
    """Return the page."""
    return "\n".join([
        "# Security Hub's controls",
        "",
        "Controls of AWS Security Hub CSPM as of November 2026: all of SageMaker's, and those of other services that "
        "look at what the application makes. `tests/infra/test_security_hub.py` has a test for each that is met, and "
        "fails when a template no longer meets it.",
        "",
        *_table("Met", MET),
        *_table("Met in a [private network](../how-to/private-network.md)", IN_PRIVATE_NETWORK),
        *_table("Not met", NOT_MET, "why"),
        *_table("Not there", NOT_THERE, "what the application never makes"),
    ])  # fmt: skip


def _table(title: str, rows: dict[str, str], what: str = "how") -> list[str]:
    lines = [f"| {controls} | {words} |" for controls, words in rows.items()]
    return [f"## {title}", "", f"| controls | {what} |", "|---|---|", *lines, ""]
