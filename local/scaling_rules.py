"""How many instances a scaling policy wants: pure decisions.

Sources: "Target tracking scaling policies" and "Step scaling policies" of the Application Auto Scaling user guide, and
"Automatic scaling of Amazon SageMaker AI models".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_COOLDOWN = 300.0  # seconds; the service's default for SageMaker variants
CALM = 0.9  # a policy scales in below this part of its target, lest it swing
NAMESPACE = "AWS/SageMaker"


class NotKnown(ValueError):
    """A policy that the laptop cloud does not carry out; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """The metric that a target tracking policy holds at its target.

    Args:
        metric, namespace, dimensions, statistic: name it.
        period: seconds of one datapoint.
        out_periods, in_periods: datapoints above the target that scale out, and below it that scale in.
        target: what each instance is to have of it.
    """

    metric: str
    namespace: str
    dimensions: dict[str, str]
    statistic: str
    period: int
    out_periods: int
    in_periods: int
    target: float


PREDEFINED: Mapping[str, dict[str, Any]] = {
    "SageMakerVariantInvocationsPerInstance": {
        "metric": "InvocationsPerInstance", "statistic": "Sum", "period": 60, "out_periods": 3, "in_periods": 15,
    },
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": {
        "metric": "ConcurrentRequestsPerModel", "statistic": "Average", "period": 10, "out_periods": 3,
        "in_periods": 90,
    },
}  # fmt: skip


def tracked(config: Mapping[str, Any], endpoint: str, variant: str) -> Tracked:
    """Return what a TargetTrackingScalingPolicyConfiguration follows.

    Raises:
        NotKnown: for a metric that is not emulated.
    """
    target = float(config["TargetValue"])
    if given := config.get("PredefinedMetricSpecification"):
        kind = given["PredefinedMetricType"]
        if kind not in PREDEFINED:
            raise NotKnown(f"{kind} is not allowed for SageMaker variants; expected one of {', '.join(PREDEFINED)}")
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        return Tracked(namespace=NAMESPACE, dimensions=dimensions, target=target, **PREDEFINED[kind])
    custom = config.get("CustomizedMetricSpecification")
    if custom is None:
        raise NotKnown("a PredefinedMetricSpecification or CustomizedMetricSpecification must be given")
    if "Metrics" in custom:
        raise NotKnown("metric math in a CustomizedMetricSpecification is not emulated by the laptop cloud")
    return Tracked(
        metric=custom["MetricName"],
        namespace=custom["Namespace"],
        dimensions={each["Name"]: each["Value"] for each in custom.get("Dimensions", [])},
        statistic=custom["Statistic"],
        period=60,
        out_periods=3,
        in_periods=15,
        target=target,
    )


def by_tracking(current: int, value: float, target: float) -> int:
    """Return the instances that bring a metric of each instance from ``value`` to ``target``."""
    return math.ceil(max(current, 1) * value / target)


def by_steps(config: Mapping[str, Any], current: int, breach: float) -> int:
    """Return the instances after the step of a StepScalingPolicyConfiguration that ``breach`` falls into.

    Args:
        config: the policy's.
        current: instances now.
        breach: the metric less the alarm's threshold.
    """
    for step in config.get("StepAdjustments", []):
        low = step.get("MetricIntervalLowerBound", -math.inf)
        high = step.get("MetricIntervalUpperBound", math.inf)
        if low <= breach < high or (breach < 0 and low < breach <= high):
            return _adjusted(config, current, step["ScalingAdjustment"])
    return current


def _adjusted(config: Mapping[str, Any], current: int, adjustment: int) -> int:
    kind = config["AdjustmentType"]
    if kind == "ExactCapacity":
        return adjustment
    if kind == "ChangeInCapacity":
        return current + adjustment
    change = current * adjustment / 100
    whole = math.floor(change) if abs(change) > 1 else math.copysign(1, change) if change else 0
    least = config.get("MinAdjustmentMagnitude", 0)
    return current + int(math.copysign(max(abs(whole), least), adjustment))
