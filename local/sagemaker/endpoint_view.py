"""An endpoint's servers as DescribeEndpoint shows them."""

from __future__ import annotations

from typing import Any

from local.sagemaker import capture
from local.sagemaker.fleets import Fleet, Variant
from local.sagemaker.rollouts import Rollout


def of_fleet(fleet: Fleet | None) -> dict[str, Any]:
    """Return ProductionVariants, ShadowProductionVariants and DataCaptureConfig of the fleet in service."""
    if fleet is None:
        return {}
    shadows = {"ShadowProductionVariants": [_variant(each) for each in fleet.shadows]} if fleet.shadows else {}
    return {
        "ProductionVariants": [_variant(each) for each in fleet.variants],
        **shadows,
        **capture.summary(fleet.capture),
        **({"AsyncInferenceConfig": fleet.asynchronous} if fleet.asynchronous else {}),
    }


def of_rollout(rollout: Rollout | None) -> dict[str, Any]:
    """Return PendingDeploymentSummary of an update on its way; {} without one."""
    if rollout is None:
        return {}
    status = [{"Status": rollout.stage, "StartTime": rollout.since}]
    green = rollout.green
    variants, shadows = (
        [{**_variant(each), "VariantStatus": status} for each in some] for some in (green.variants, green.shadows)
    )
    summary = {"EndpointConfigName": green.config, "ProductionVariants": variants, "StartTime": rollout.started}
    return {"PendingDeploymentSummary": summary | ({"ShadowProductionVariants": shadows} if shadows else {})}


def _variant(variant: Variant) -> dict[str, Any]:
    described: dict[str, Any] = {"VariantName": variant.name}
    if variant.image:
        described["DeployedImages"] = [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}]
    described |= {"CurrentWeight": variant.weight, "DesiredWeight": variant.weight}
    if "ServerlessConfig" in variant.config:
        serverless = variant.config["ServerlessConfig"]
        return {**described, "CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    return {**described, "CurrentInstanceCount": len(variant.servers), "DesiredInstanceCount": variant.desired}
