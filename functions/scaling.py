"""How many instances a variant has: what Application Auto Scaling is asked for each variant of an endpoint.

Sources: "Define a scaling policy" (predefined metrics), "Autoscale an asynchronous endpoint" (the backlog, and the step
from zero by HasBacklogWithoutCapacity), "Update endpoints that use auto scaling" (Amazon SageMaker AI Developer Guide).
Variants are scaled in and out by the service's own cooldown, five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contract import deploying, names, packages
from contract.config import Deploy
from contract.runbooks import Runbook
from functions.rollout import CHALLENGER, VARIANT
from functions.shared import client

Json = dict[str, Any]
PREDEFINED = {
    "invocations_per_instance": "SageMakerVariantInvocationsPerInstance",
    "concurrency_per_instance": "SageMakerVariantConcurrentRequestsPerModelHighResolution",
}
FIRST = "first-instance"
"""Name of the policy that brings an instance back after there was none."""


def plan(endpoint: str, deploy: Deploy, rival: str, tags: list[dict[str, str]]) -> Json:
    """Return ``scaling``, the policies of a new version, and ``scaled``, the variants to stop scaling before.

    Args:
        endpoint: its name.
        deploy: of the new version.
        rival: the champion's package, beside which the version is tested; empty without a test.
        tags: of the alarms.
    """
    if deploy.target not in names.INSTANCE_TARGETS:
        return {"scaling": [], "scaled": []}
    settings = {VARIANT: deploy}
    if rival:
        settings = {VARIANT: packages.deploy_settings(_properties(rival)), CHALLENGER: deploy}
    return {"scaling": policies(endpoint, settings, tags), "scaled": registered(endpoint)}


def policies(endpoint: str, settings: Mapping[str, Deploy], tags: list[dict[str, str]]) -> list[Json]:
    """Return ``{"target", "policy", "alarms"}`` of each scaling policy, as the service is asked for them.

    Args:
        endpoint: its name.
        settings: of each variant; one without ``max_instances`` is not scaled.
        tags: of the alarms.
    """
    return [each for name, deploy in settings.items() for each in _of_variant(endpoint, name, deploy, tags)]


def of_champion(row: Mapping[str, Any]) -> list[Json]:
    """Return the policies of what a champion's row says is in service, a challenger included."""
    arns = {VARIANT: row["package_arn"]}
    if challenger := row.get("challenger"):
        arns[CHALLENGER] = challenger["package_arn"]
    properties = {name: _properties(arn) for name, arn in arns.items()}
    settings = {name: packages.deploy_settings(found) for name, found in properties.items()}
    champion = properties[VARIANT]
    return policies(row["endpoint"], settings, names.tags(champion["tenant"], champion["project"], row["run"]))


def _properties(arn: str) -> dict[str, str]:
    found: dict[str, str] = client("sagemaker").describe_model_package(ModelPackageName=arn)[
        "CustomerMetadataProperties"
    ]
    return found


def registered(endpoint: str) -> list[str]:
    """Return the resource ids of the endpoint's variants that are scaled now."""
    variants = [names.variant_resource(endpoint, name) for name in (VARIANT, CHALLENGER)]
    found = client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=variants
    )
    return [target["ResourceId"] for target in found["ScalableTargets"]]


def _of_variant(endpoint: str, name: str, deploy: Deploy, tags: list[dict[str, str]]) -> Iterator[Json]:
    if not deploy.max_instances:
        return
    scaled = names.SCALABLE | {"ResourceId": names.variant_resource(endpoint, name)}
    target = {**scaled, "MinCapacity": deploy.min_instances, "MaxCapacity": deploy.max_instances}
    for measure, value in deploying.measures(deploy).items():
        configuration = {"TargetValue": value, **_metric(measure, endpoint)}
        tracking = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": configuration}
        policy = {**scaled, "PolicyName": measure.replace("_", "-"), **tracking}
        yield {"target": target, "policy": policy, "alarms": []}
    if deploy.min_instances == 0:
        policy = {**scaled, "PolicyName": FIRST, "PolicyType": "StepScaling", **_first_step()}
        yield {"target": target, "policy": policy, "alarms": [_nobody_works(endpoint, name, tags)]}


def _metric(measure: str, endpoint: str) -> Json:
    if measure in PREDEFINED:
        return {"PredefinedMetricSpecification": {"PredefinedMetricType": PREDEFINED[measure]}}
    metric = _of_queue("ApproximateBacklogSizePerInstance", endpoint)
    return {"CustomizedMetricSpecification": {**metric, "Statistic": "Average"}}


def _first_step() -> Json:
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    return {"StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps}}


def _nobody_works(endpoint: str, variant: str, tags: list[dict[str, str]]) -> Json:
    """Return the alarm on requests that wait where there is no instance; its action is the policy."""
    return {
        "AlarmName": names.alarm(endpoint, variant, "backlog"),
        "AlarmDescription": Runbook.MODEL_BACKLOG.after(
            "Requests wait, and there is no instance: the first one is brought back"
        ),
        **_of_queue("HasBacklogWithoutCapacity", endpoint),
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 2,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "missing",
        "Tags": tags,
    }


def _of_queue(metric: str, endpoint: str) -> Json:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}]
    return {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
