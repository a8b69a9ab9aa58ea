"""What roles may do on every resource: five things, because IAM knows no resource for them.

Source: the service authorization reference. tests/infra/test_grants.py holds the templates to this list, which may not
grow beyond five.
"""

from __future__ import annotations

WILDCARDS: dict[str, frozenset[str]] = {
    "Traces of functions and state machines go to X-Ray": frozenset({
        "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
    }),
    "State machines have their logs delivered": frozenset({
        "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    }),
    "Whoever pulls an image signs in to ECR first": frozenset({"ecr:GetAuthorizationToken"}),
    "Jobs and endpoints send metrics, of SageMaker's namespaces only": frozenset({"cloudwatch:PutMetricData"}),
    "Lists, metrics and quotas tell what is there": frozenset({
        "cloudwatch:GetMetricData",
        "sagemaker:ListTrainingJobs", "sagemaker:ListProcessingJobs", "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListTransformJobs",
        "sagemaker:ListEndpointConfigs", "sagemaker:ListModels", "application-autoscaling:DescribeScalableTargets",
        "servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas",
    }),
}  # fmt: skip
"""Why, and which actions."""
