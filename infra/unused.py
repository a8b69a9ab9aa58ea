"""The grants that no test can use, each with its reason: what AWS does that the laptop cloud does not.

Everything else that a policy allows is to be seen used (docs/reference/permissions.json); tests/e2e/test_permissions.py
compares both.
"""

from __future__ import annotations

REASONS: dict[tuple[str, str, str], str] = {
    ("*", "xray:*", "*"): "Functions and state machines send traces to X-Ray, which the laptop cloud has not.",
    ("*", "s3:AbortMultipartUpload", "*"): "An upload in parts that fails is given up by boto3 and by SageMaker.",
    ("*", "s3:ListBucket", "s3:::*"): (
        "S3 looks whether listing is allowed only where an object is missing, which would else be a 403, not a 404."
    ),
    ("*", "sqs:SendMessage", "sqs:<DeadLetters>"): "Lambda keeps an event there that a function failed on for hours.",
    ("*", "sagemaker:ListModelPackages", "sagemaker:model-package/*"): (
        "IAM's reference names packages for it; the laptop cloud asks about their group."
    ),
    ("TandemServing/*", "cloudwatch:*Alarm*", "cloudwatch:alarm:TargetTracking-endpoint/*"): (
        "Application Auto Scaling puts its alarms in the name of whoever has an endpoint scaled."
    ),
    ("TandemServing/SleepRole", "cloudwatch:DescribeAlarms", "cloudwatch:alarm:*"): "It looks at all of them for that.",
    ("TandemServing/*", "sagemaker:UpdateEndpointWeightsAndCapacities", "*"): (
        "Application Auto Scaling asks whoever has an endpoint scaled for the permissions that it uses itself."
    ),
    ("TandemServing/*", "sagemaker:DescribeEndpointConfig", "sagemaker:endpoint-config/*"): "Likewise.",
    ("TandemServing/*", "application-autoscaling:DeregisterScalableTarget", "*"): (
        "SageMaker deregisters the variants of an endpoint in the name of whoever deletes it, by its documentation; the"
        " laptop cloud does it in its own."
    ),
    ("TandemServing/*", "iam:CreateServiceLinkedRole", "*"): (
        "Application Auto Scaling's role is made when an account first scales an endpoint."
    ),
    ("TandemServing/BuildRole", "s3:*", "s3:::cdk-*"): "CDK's own grant to read an asset says more than is needed.",
    ("TandemServing/BuildRole", "logs:*", "logs:log-group:/aws/codebuild/*"): (
        "CDK's own grant, of the group that a build has by default; this one has a group of its own."
    ),
    ("TandemServing/BuildRole", "kms:*", "kms:key/<Key>"): "CDK's own grant to a project that has a key.",
    ("TandemServing/DeploymentMakeFunctionRole", "ecr:*", "*"): (
        "Lambda fetches the image in the name of whoever makes the function, by its documentation."
    ),
    ("TandemPipeline/FunctionsRegisterRole", "ecr:*", "*"): (
        "SageMaker looks at the image in the name of whoever registers it, by its documentation."
    ),
    ("TandemTenant/JobRole", "ecr:*", "ecr:repository/sagemaker-spark-processing"): (
        "SageMaker fetches a job's image in the name of its role; Spark's tests have an environment of their own."
    ),
    ("TandemTenant/JobRole", "ecr:*", "ecr:repository/tensorflow-training"): "So have TensorFlow's.",
    ("TandemTenant/*", "cloudwatch:PutMetricData", "*"): (
        "SageMaker sends the metrics of an endpoint's and a transform job's hosts in the name of their role."
    ),
    ("TandemPipeline/FunctionsAcceptRole", "kms:Decrypt", "kms:key/*"): (
        "Rows to replay may have been kept by a preparation job; those of the tests are kept by a function."
    ),
    ("TandemPipeline/FunctionsRegisterRole", "s3:GetObject", "s3:::<Artifacts>/*/runs/*"): (
        "SageMaker reads the archive in the name of whoever registers it, by its documentation."
    ),
    ("TandemPipeline/FunctionsRegisterRole", "kms:Decrypt", "kms:key/*"): "Likewise.",
    ("TandemTenant/ModelRole", "kms:DescribeKey", "*"): "SageMaker looks at the key of a queue's answers.",
    ("TandemTenant/ModelRole", "kms:Encrypt", "*"): "SageMaker encrypts a queue's answers, by its documentation.",
    ("TandemTenant/ModelRole", "cloudwatch:DescribeAlarms", "*"): (
        "SageMaker watches a rollout's alarms in the name of the model's role, by its documentation."
    ),
}
"""By patterns of role, action and resource."""
