"""How an update of an endpoint moves its traffic: DeploymentConfig, checked as AWS checks it.

Sources: ``DeploymentConfig``, ``TrafficRoutingConfig`` and ``RollingUpdatePolicy`` of SageMaker's API reference, and
"Deployment guardrails" with its exclusions in the developer guide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from local.sagemaker.errors import Refused

SIZES = {
    "CanarySize": (1, 50),
    "LinearStepSize": (10, 50),
    "MaximumBatchSize": (5, 50),
    "RollbackMaximumBatchSize": (1, 100),
}
"""Percent of a variant's instances that each may be."""
SIZE_OF = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One way to move traffic.

    Args:
        shares: of the new fleet after each step; the last is 1.
        bake: seconds of watching after each step.
        linger: seconds that the old fleet stays after the last step was watched.
        alarms: names of the alarms that roll it back.
        batches: instances of the new fleet after each step of a rolling update; () for blue/green.
        rollback_batch: instances that one step of a rollback brings up.
    """

    shares: tuple[float, ...] = (1.0,)
    bake: float = 0.0
    linger: float = 0.0
    alarms: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    rollback_batch: int = 0


def policy_of(config: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Policy:
    """Return the policy of a DeploymentConfig ({} moves all at once).

    Args:
        config: DeploymentConfig.
        old, new: the variants in service and those of the new endpoint configuration.

    Raises:
        Refused: when AWS would not take it.
    """
    if not config:
        return Policy()
    _check_variants(config, old, new)
    alarms = tuple(each["AlarmName"] for each in config.get("AutoRollbackConfiguration", {}).get("Alarms", []))
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise Refused("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified in DeploymentConfig")
    count = min(variant.get("InitialInstanceCount", 1) for variant in new)
    if "RollingUpdatePolicy" in config:
        return _rolling(config["RollingUpdatePolicy"], count, alarms)
    if "BlueGreenUpdatePolicy" in config:
        return _blue_green(config["BlueGreenUpdatePolicy"], count, alarms)
    return Policy(alarms=alarms)


def _check_variants(config: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    names = [sorted(variant["VariantName"] for variant in variants) for variants in (old, new)]
    if names[0] != names[1]:
        raise Refused(
            "With a DeploymentConfig the new endpoint configuration must have the same variant names as the old one: "
            f"{', '.join(names[0])}, not {', '.join(names[1])}"
        )
    serverless = any("ServerlessConfig" in variant for variant in (*old, *new))
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}).get("Type")
    if serverless and (routing != "ALL_AT_ONCE" or "AutoRollbackConfiguration" in config):
        raise Refused(
            "Deployment guardrails (canary, linear, rolling, alarms) apply to real-time and asynchronous endpoints "
            "only, not to serverless variants"
        )
    if "RollingUpdatePolicy" in config and len(new) > 1:
        raise Refused(f"A rolling deployment takes one variant only, not {', '.join(names[1])}")


def _blue_green(policy: dict[str, Any], count: int, alarms: tuple[str, ...]) -> Policy:
    routing = policy["TrafficRoutingConfiguration"]
    kind, wanted = routing["Type"], SIZE_OF.get(routing["Type"])
    for name in SIZE_OF.values():
        if (name in routing) != (name == wanted):
            verb = "must" if name == wanted else "must not"
            raise Refused(f"{name} {verb} be specified when TrafficRoutingConfiguration.Type is {kind}")
    shares: tuple[float, ...] = (1.0,)
    if wanted:
        step = _instances(wanted, routing[wanted], count) / count
        whole = 2 if kind == "CANARY" else math.ceil(1 / step - 1e-9)
        shares = (*(step * number for number in range(1, whole)), 1.0)
    bake, linger = routing["WaitIntervalInSeconds"], policy.get("TerminationWaitInSeconds", 0)
    _check_limit(policy, len(shares) * bake + linger)
    return Policy(shares=shares, bake=bake, linger=linger, alarms=alarms)


def _rolling(policy: dict[str, Any], count: int, alarms: tuple[str, ...]) -> Policy:
    batch = max(1, math.floor(_instances("MaximumBatchSize", policy["MaximumBatchSize"], count)))
    back = policy.get("RollbackMaximumBatchSize", {"Type": "CAPACITY_PERCENT", "Value": 100})
    batches = tuple(min(batch * number, count) for number in range(1, math.ceil(count / batch) + 1))
    _check_limit(policy, len(batches) * policy["WaitIntervalInSeconds"])
    return Policy(
        shares=tuple(instances / count for instances in batches),
        bake=policy["WaitIntervalInSeconds"],
        alarms=alarms,
        batches=batches,
        rollback_batch=max(1, math.floor(_instances("RollbackMaximumBatchSize", back, count))),
    )


def _instances(name: str, size: dict[str, Any], count: int) -> float:
    """Return a CapacitySize in instances of ``count``; a percentage may be a part of one."""
    low, high = SIZES[name]
    percent = size["Value"] if size["Type"] == "CAPACITY_PERCENT" else 100 * size["Value"] / count
    if not low <= percent <= high:
        what = f"{size['Value']} of {count} instances" if size["Type"] == "INSTANCE_COUNT" else f"{size['Value']}%"
        raise Refused(f"{name} must be {low}% to {high}% of the variant's total instance count, not {what}")
    return percent / 100 * count


def _check_limit(policy: dict[str, Any], waits: float) -> None:
    limit = policy.get("MaximumExecutionTimeoutInSeconds")
    if limit is not None and limit < waits:
        raise Refused(
            f"MaximumExecutionTimeoutInSeconds {limit} must be larger than the total waiting time of the deployment, "
            f"{waits:.0f} seconds"
        )
