"""The grants that no test can use, each with its reason: what AWS does that the laptop cloud does not.

Everything else that a policy allows is to be seen used (docs/reference/permissions.json); tests/e2e/test_permissions.py
compares both.
"""

from __future__ import annotations

REASONS: dict[tuple[str, str, str], str] = {
    ("*", "xray:*", "*"): "Functions and state machines send traces to X-Ray, which the laptop cloud has not.",
    ("*", "s3:AbortMultipartUpload", "*"): "An upload in parts that fails is given up by boto3 and by SageMaker.",
    ("TandemPipeline/FunctionsAcceptRole", "kms:Decrypt", "kms:key/*"): (
        "Rows to replay may have been kept by a preparation job; those of the tests are kept by a function."
    ),
    ("TandemPipeline/FunctionsRegisterRole", "kms:Decrypt", "kms:key/*"): (
        "SageMaker reads the archive in the name of whoever registers it, by its documentation."
    ),
    ("TandemTenant/ModelRole", "kms:DescribeKey", "*"): "SageMaker looks at the key of a queue's answers.",
    ("TandemTenant/ModelRole", "kms:Encrypt", "*"): "SageMaker encrypts a queue's answers, by its documentation.",
    ("TandemTenant/ModelRole", "cloudwatch:DescribeAlarms", "*"): (
        "SageMaker watches a rollout's alarms in the name of the model's role, by its documentation."
    ),
}
"""By patterns of role, action and resource."""
