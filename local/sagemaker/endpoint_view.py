"""An endpoint's servers as DescribeEndpoint shows them."""

from __future__ import annotations

from typing import Any

from local.sagemaker.fleets import Fleet, Variant
from local.sagemaker.rollouts import Rollout


def of_fleet(fleet: Fleet | None) -> dict[str, Any]:
    """Return ProductionVariants of the fleet in service."""
    return {"ProductionVariants": [_variant(each) for each in fleet.variants]} if fleet else {}


def of_rollout(rollout: Rollout | None) -> dict[str, Any]:
    """Return PendingDeploymentSummary of an update on its way; {} without one."""
    if rollout is None:
        return {}
    status = [{"Status": rollout.stage, "StartTime": rollout.since}]
    variants = [{**_variant(each), "VariantStatus": status} for each in rollout.green.variants]
    summary = {"EndpointConfigName": rollout.green.config, "ProductionVariants": variants, "StartTime": rollout.started}
    return {"PendingDeploymentSummary": summary}


def _variant(variant: Variant) -> dict[str, Any]:
    described: dict[str, Any] = {"VariantName": variant.name}
    if variant.image:
        described["DeployedImages"] = [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}]
    described |= {"CurrentWeight": variant.weight, "DesiredWeight": variant.weight}
    if "ServerlessConfig" in variant.config:
        serverless = variant.config["ServerlessConfig"]
        return {**described, "CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    return {**described, "CurrentInstanceCount": len(variant.servers), "DesiredInstanceCount": variant.desired}
