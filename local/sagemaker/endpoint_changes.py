"""What an update of an endpoint takes over from the endpoint as it is."""

from __future__ import annotations

from typing import Any

from local.sagemaker.errors import Refused
from local.sagemaker.fleets import Fleet
from local.sagemaker.records import Record


def deployment_config(record: Record, request: dict[str, Any]) -> dict[str, Any]:
    """Return the DeploymentConfig of an update: its own, or with RetainDeploymentConfig that of the last one."""
    given: dict[str, Any] = request.get("DeploymentConfig", {})
    if not request.get("RetainDeploymentConfig"):
        return given
    if given:
        raise Refused("DeploymentConfig cannot be specified when RetainDeploymentConfig is true")
    return record.get("LastDeploymentConfig") or {}


def retain(config: dict[str, Any], fleet: Fleet, request: dict[str, Any]) -> dict[str, Any]:
    """Return an endpoint configuration with what RetainAllVariantProperties takes from the fleet in service."""
    if not request.get("RetainAllVariantProperties"):
        return config
    excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", [])}
    variants = [_retain_variant(each, fleet, excluded) for each in config["ProductionVariants"]]
    capture = {} if "DataCaptureConfig" in excluded or not fleet.capture else {"DataCaptureConfig": fleet.capture}
    return {**config, "ProductionVariants": variants, **capture}


def _retain_variant(variant: dict[str, Any], fleet: Fleet, excluded: set[str]) -> dict[str, Any]:
    serving = {each.name: each for each in fleet.variants}.get(variant["VariantName"])
    if serving is None or "InitialInstanceCount" not in variant:
        return variant
    retained = {"DesiredWeight": serving.weight, "DesiredInstanceCount": serving.desired}
    names = {"DesiredWeight": "InitialVariantWeight", "DesiredInstanceCount": "InitialInstanceCount"}
    return variant | {names[kind]: value for kind, value in retained.items() if kind not in excluded}
