"""The page of Security Hub's controls: which the application meets, and which it does not, with the reason.

Controls of AWS Security Hub CSPM, by the control reference in its User Guide
(https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-controls-reference.html) as of spring 2026: all
of the services in CONTROLS, and of IAM and EC2 those that look at what the application makes. What is said to be met is
held against the templates and the state machines by tests/infra/test_security_hub.py, by the same ids.
"""

from __future__ import annotations

CONTROLS: dict[str, tuple[int, ...]] = {
    "SageMaker": tuple(range(1, 26)),
    "S3": (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 22, 23, 24, 25),
    "DynamoDB": (1, 2, 3, 4, 5, 6, 7),
    "Lambda": (1, 2, 3, 5, 6, 7),
    "KMS": (1, 2, 3, 4, 5),
    "StepFunctions": (1, 2),
    "SNS": (1, 3, 4),
    "SQS": (1, 2, 3),
    "ECR": (1, 2, 3, 4, 5),
    "CloudTrail": (1, 2, 3, 4, 5, 6, 7, 9, 10),
    "CodeBuild": (1, 2, 3, 4, 7),
    "APIGateway": (1, 2, 3, 4, 5, 8, 9, 10, 11),
    "CloudWatch": tuple(range(1, 18)),
    "CloudFormation": (2, 3, 4),
    "IAM": (1, 21, 24),  # those of policies and roles
    "EC2": (2, 6, 10, 13, 14, 15, 16, 18, 19, 21, 42, 43, 44, 46, 48, 55, 56, 57, 58, 60, 172),  # those of a VPC
}
"""By service, the numbers of the controls that are in use; numbers that are missing were retired, or never given."""

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
    "KMS.1, KMS.2": "No policy allows decryption with every key: it names a key, or those of this account and region "
    "that have a tenant's alias",
    "KMS.3": "Keys stay when their stacks go; `tandem destroy --delete-data` alone has them deleted",
    "KMS.4": "The key rotates",
    "KMS.5": "The key's policy lets nobody in who is not of this account or of AWS's services",
    "StepFunctions.1": "State machines log",
    "SNS.1": "Topics are encrypted with KMS",
    "SNS.3": "Topics are tagged",
    "SNS.4": "Topics are not public",
    "SQS.1": "Queues are encrypted",
    "SQS.2": "Queues are tagged",
    "SQS.3": "Queues are not public",
    "ECR.1": "Images are scanned when they are pushed",
    "ECR.2": "Tags of images never change",
    "ECR.3": "Images have a lifecycle policy",
    "ECR.5": "Images are encrypted with the application's key",
    "CloudTrail.2": "The trail is encrypted",
    "CloudTrail.3": "There is a trail, and it logs",
    "CloudTrail.4": "The trail's files are validated",
    "CloudTrail.6, CloudTrail.7": "The trail's bucket is private and logs access",
    "CloudTrail.9": "The trail is tagged",
    "CodeBuild.1": "The build's source is in S3, and needs no credentials in an address",
    "CodeBuild.2": "No credentials in the build's variables",
    "CodeBuild.4": "Builds log",
    "APIGateway.3": "The public API is traced by X-Ray",
    "CloudWatch.15, CloudWatch.17": "Every alarm acts",
    "IAM.1, IAM.21": "No policy allows everything, or all actions of a service",
    "IAM.24": "Roles are tagged",
    "CloudFormation.2, CloudFormation.3": "Stacks are tagged, and protected unless `tandem:keep_data=false`",
}  # fmt: skip
"""What is met, in words."""

IN_PRIVATE_NETWORK = {
    "Lambda.3": "Functions run in a VPC",
    "Lambda.5": "They run in more than one zone",
    "EC2.6": "The VPC has flow logs",
    "EC2.13, EC2.14, EC2.18, EC2.19": "The security group lets in its own members alone",
    "EC2.15": "Subnets give no public addresses",
    "EC2.42, EC2.43, EC2.44, EC2.46, EC2.48": "Route tables, security group, subnets, VPC and flow log are tagged",
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
    "APIGateway.2": "No client certificate: the backends are functions, which API Gateway alone may call",
    "APIGateway.4": "A web ACL costs money when idle; stage and usage plans throttle. A team can add one",
    "CloudWatch.16": "Logs are kept 30 days; the control asks for a year: `tandem:log_days=365`",
    "CloudFormation.4": "`cdk deploy` gives stacks a role, its bootstrap's; `tandem deploy` and `tandem tenant add` "
    "make them with the permissions of whoever calls",
    "EC2.2": "The private network's default group has no members; closing it needs a custom resource",
    "EC2.10, EC2.55, EC2.56, EC2.57, EC2.58, EC2.60": "Endpoints of EC2, ECR and Systems Manager: nothing in the "
    "private network calls these, and each endpoint costs money when idle",
    "EC2.21": "The private network's default ACL lets everything pass, as in any VPC: no route leads in, and the "
    "security group decides",
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
    "S3.19, .24": "access points",
    "S3.25": "directory buckets",
    "DynamoDB.3, .7": "DAX clusters",
    "StepFunctions.2": "activities",
    "APIGateway.5": "caches",
    "APIGateway.8, .9, .10": "HTTP and WebSocket APIs",
    "APIGateway.11": "domain names",
    "CloudTrail.10": "event data stores",
    "CodeBuild.3, .7": "logs of builds in S3, report groups",
    "ECR.4": "public repositories",
    "EC2.16": "network ACLs beside the default",
}
"""Kinds of resources that the application never makes."""

ACCOUNT = {
    "S3.1": "blocks public access to all buckets of the account; each of ours does so for itself",
    "CloudTrail.1": "a trail of all regions; ours records this application's objects and calls, in its own region",
    "CloudWatch.1, .2, .3, .4, .5, .6, .7, .8, .9, .10, .11, .12, .13, .14": "alarms on an account's "
    "trail in CloudWatch Logs",
    "EC2.172": "blocks the internet gateways of all VPCs; ours has none",
}
"""What is set for an account as a whole, and is not an application's to change."""


def page() -> str:
    """Return the page."""
    return "\n".join([
        "# Security Hub's controls",
        "",
        "Controls of AWS Security Hub CSPM, by "
        "[AWS's control reference](https://docs.aws.amazon.com/securityhub/latest/userguide/"
        "securityhub-controls-reference.html) of spring 2026: all of each service that the application uses; of IAM "
        "and EC2 those that look at what it makes. `tests/infra/test_security_hub.py` has a test for each that is met, "
        "which fails when a template no longer meets it, and one that no control is left out.",
        "",
        *_table("Met", MET),
        *_table("Met in a [private network](../how-to/private-network.md)", IN_PRIVATE_NETWORK),
        *_table("Not met", NOT_MET, "why"),
        *_table("Not there", NOT_THERE, "what the application never makes"),
        *_table("The account's own", ACCOUNT, "what it is"),
    ])  # fmt: skip


def _table(title: str, rows: dict[str, str], what: str = "how") -> list[str]:
    lines = [f"| {controls} | {words} |" for controls, words in rows.items()]
    return [f"## {title}", "", f"| controls | {what} |", "|---|---|", *lines, ""]
