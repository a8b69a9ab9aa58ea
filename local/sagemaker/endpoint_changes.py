"""Changes of an endpoint: when they may be made, what is refused, what is taken over from the endpoint as it is."""

from __future__ import annotations

from typing import Any

from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.fleets import Fleet
from local.sagemaker.records import Record

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def must_be(record: Record, verb: str, *allowed: str) -> None:
    """Refuse what can be done in an ``allowed`` status only."""
    status = record.get("EndpointStatus")
    if status in allowed:
        return
    if status in BUSY:
        raise Refused(f'Cannot {verb} in-progress endpoint "{record.arn}".')
    raise Refused(f'Cannot {verb} endpoint "{record.arn}" in status {status}; expected {" or ".join(allowed)}.')


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


def check_kind(fleet: Fleet, wanted: dict[str, Any]) -> None:
    """Refuse an update that would give an endpoint a queue, or take it away."""
    if bool(fleet.asynchronous) != ("AsyncInferenceConfig" in wanted):
        raise NotEmulated("UpdateEndpoint between real-time and asynchronous inference")


def apply_weights(fleet: Fleet, desired: list[dict[str, Any]]) -> dict[str, int]:
    """Give variants the weights of UpdateEndpointWeightsAndCapacities; return how many instances they are to have.

    Raises:
        Refused: before anything is changed.
    """
    variants = {variant.name: variant for variant in fleet.all_variants}
    least = 0 if fleet.asynchronous else 1
    for each in desired:
        if each["VariantName"] not in variants:
            raise Refused(f'The variant name(s) "{each["VariantName"]}" is/are not present within endpoint.')
        if "ServerlessUpdateConfig" in each:
            raise NotEmulated("UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig")
        if "DesiredInstanceCount" in each:
            if "ServerlessConfig" in variants[each["VariantName"]].config:
                raise Refused(f"Variant {each['VariantName']} is serverless: it has no instances to count")
            if each["DesiredInstanceCount"] < least:
                raise Refused(f"DesiredInstanceCount of variant {each['VariantName']} must be at least {least}")
    for each in desired:
        variants[each["VariantName"]].weight = each.get("DesiredWeight", variants[each["VariantName"]].weight)
    counts = {each["VariantName"]: each.get("DesiredInstanceCount") for each in desired}
    return {name: count for name, count in counts.items() if count not in (None, variants[name].desired)}


def check_scaled(scaled: list[str], old: list[dict[str, Any]], wanted: dict[str, Any]) -> None:
    """Refuse an update that removes a variant registered for scaling, or changes its instance type, as AWS does."""
    types = {each["VariantName"]: each.get("InstanceType") for each in wanted["ProductionVariants"]}
    kept = {each["VariantName"]: each.get("InstanceType") for each in old}
    if changed := [name for name in scaled if types.get(name) != kept.get(name)]:
        raise Refused(
            f'Variant(s) "{changed}" must be deregistered as scalable targets with AWS Auto Scaling before they can be '
            "removed or have their instance type updated."
        )
