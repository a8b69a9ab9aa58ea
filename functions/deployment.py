"""Plan deployment: what the deployment machine makes, and under which names.

It runs while the machine holds the project's lease, so nobody else deploys
there. Whatever it finds half-made by a deployment that died is cleared away.
"""

from __future__ import annotations

import dataclasses
import secrets
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from contract import keys, ledger, names, packages, sleeping
from contract.config import Deploy
from contract.errors import EndpointBusy, InvalidConfig
from contract.recipes import SCRIPT
from functions import rollout, scaling, table
from functions.live import BROKEN, STEADY, asleep, clear, describe_endpoint, look
from functions.rollout import Live
from functions.shared import client, environment, error_code, logger


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Plan the deployment of ``event["package_arn"]``.

    Args:
        event: ``{"tenant", "project", "run", "package_arn", "expected_champion", "at_once", "stopped", "stopped_by"}``;
            the expected champion is a package ARN, "" when there was none, or None when any may be replaced;
            ``at_once`` skips the shadow, the A/B test and the steps; ``stopped`` is the execution that died, when this
            one tidies after it, and ``stopped_by`` its error.
        context: unused.

    Returns:
        ``verdict``: ``go``, ``champion_changed`` or ``nothing_to_do``; ``champion`` (its package ARN, "" when there
        is none); and what :func:`plan` does.

    Raises:
        EndpointBusy: while an endpoint of the project is changing; passes by itself.
        InvalidConfig: when the package is not this project's.
    """
    tenant, project = names.check_name("tenant", event["tenant"]), names.check_name("project", event["project"])
    row = table.get(ledger.champion_key(tenant, project)) or {}
    champion, wanted, at_once = row.get("package_arn", ""), event["package_arn"], bool(event.get("at_once"))
    if event.get("stopped"):
        if event.get("stopped_by") == names.DESTROYED or is_as_recorded(row):
            return _nothing("nothing_to_do", row)
        wanted, at_once = champion, True
    expected = event.get("expected_champion")
    if expected is not None and champion not in (expected, wanted):  # our own: an earlier try got so far
        logger.warning("champion changed", extra={"run": event["run"], "expected": expected, "champion": champion})
        return _nothing("champion_changed", row)
    return {"verdict": "go", **_champion(row), **plan(tenant, project, wanted, row, at_once=at_once)}


def _nothing(verdict: str, row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: row.get(name) for name in ("endpoint", "version", "target")}
    return {"verdict": verdict, **_champion(row), **shown}


def _champion(row: dict[str, Any]) -> dict[str, Any]:
    """Return who the champion is, and how it is scaled: so again, should the deployment fail."""
    serves = row.get("target") in names.INSTANCE_TARGETS and not row.get("asleep")
    return {"champion": row.get("package_arn", ""), "scaling_before": scaling.of_champion(row) if serves else []}


def is_as_recorded(row: dict[str, Any]) -> bool:
    """Say whether the champion's endpoint is what its row says; without one, or asleep, there is nothing to look at.

    Raises:
        EndpointBusy: while it changes: SageMaker finishes an update whoever asked for it.
    """
    if not row or not row.get("endpoint") or row.get("asleep"):
        return True
    status, config = describe_endpoint(row["endpoint"])
    if status is not None and status not in (*STEADY, *BROKEN):
        raise EndpointBusy(f"endpoint {row['endpoint']} is {status}")
    return status == "InService" and config == row.get("configuration")


def plan(tenant: str, project: str, package_arn: str, row: dict[str, Any], *, at_once: bool) -> dict[str, Any]:
    """Return names and settings of everything the machine makes; ``row`` is the champion's, {} without one."""
    champion = row.get("package_arn", "")
    package = describe_package(package_arn, tenant, project)
    properties = package["CustomerMetadataProperties"]
    _check_recipe(properties["recipe"], package_arn)
    if package_arn != champion:  # what is in service is put back, whatever was said of it since
        _check_approval(package, f"{tenant}/{project} {packages.version(package_arn)}")
    container = package["InferenceSpecification"]["Containers"][0]
    deploy = packages.deploy_settings(properties)
    version = packages.version(package_arn)
    at_once = at_once or champion == package_arn
    made = target_plan(tenant, project, version, deploy, properties, row, at_once)
    tags = names.tags(tenant, project, properties["run"])
    return {
        "package_arn": package_arn,
        "run": properties["run"],
        "image_uri": container["Image"],
        "model_data_url": container["ModelDataUrl"],
        "golden_uri": properties["golden"],
        "target": deploy.target,
        "version": version,
        "tags": tags,
        "hours": hours(deploy),
        **made,
        **scaling.plan(made["endpoint"], deploy, champion if made.get("ab_percent") else "", tags),
    }


def target_plan(
    tenant: str,
    project: str,
    version: int,
    deploy: Deploy,
    properties: dict[str, str],
    row: dict[str, Any],
    at_once: bool,
) -> dict[str, Any]:
    """Return what the states of the target make."""
    if deploy.target == "lambda":
        return rollout.function_plan(tenant, project, deploy, properties["model_sha256"], at_once)
    if deploy.target in names.OFFLINE_TARGETS:
        return rollout.offline_plan(tenant, project, deploy, unique_name(tenant, project, version))
    return endpoint_plan(tenant, project, version, deploy, properties["run"], row, at_once)


def hours(deploy: Deploy) -> dict[str, dict[str, str]]:
    """Return what the champion's row says of its sleeping hours; a deployment holds until their next boundary."""
    if not deploy.sleep:
        return {}
    texts = {"sleep": deploy.sleep, "sleep_timezone": deploy.sleep_timezone}
    texts["held_until"] = sleeping.held_until(sleeping.hours_of(texts), datetime.now(UTC))
    return {name: {"S": text} for name, text in texts.items()}


def _check_recipe(recipe: str, package_arn: str) -> None:
    if recipe == SCRIPT:
        fix = "A script wrote it, in a format of its own: serve it with a container of yours."
        raise InvalidConfig("package_arn", package_arn, "a version that our server can serve", fix)


def _check_approval(package: dict[str, Any], version: str) -> None:
    status = package["ModelApprovalStatus"]
    if status != packages.APPROVED:
        allowed = f"a version whose ModelApprovalStatus is {packages.APPROVED!r}; its is {status!r}"
        fix = f"Look at it, then: tandem approve {version}"
        raise InvalidConfig("package_arn", package["ModelPackageArn"], allowed, fix)


def endpoint_plan(
    tenant: str, project: str, version: int, deploy: Deploy, run: str, row: dict[str, Any], at_once: bool
) -> dict[str, Any]:
    """Return what the states of an endpoint make; ``at_once``: without steps, shadow and A/B test.

    Nobody asks a champion that sleeps, so that there is nothing to take from it in steps; it wakes for an A/B test.
    """
    staging, endpoint = names.staging_endpoint(tenant, project), names.endpoint(tenant, project, deploy.target)
    clear(staging)
    live = look(endpoint)
    if at_once:
        deploy = dataclasses.replace(deploy, rollout="all", shadow_percent=0, ab_percent=0)
    unique = unique_name(tenant, project, version)
    rival = (live or asleep(row, endpoint)) if deploy.ab_percent else None
    variants = rollout.ab_variants(unique, deploy, rival) if rival else [rollout.as_many(unique, deploy, live)]
    bucket = environment(names.ARTIFACTS_BUCKET)
    key = names.of_tenant(environment(names.TENANT_KEY), tenant)
    extras = rollout.capture(deploy, bucket, keys.capture_prefix(tenant, project), key)
    extras |= rollout.asynchronous(deploy, bucket, keys.async_prefix(tenant, project), key)
    return {
        "model_name": unique,
        "endpoint": endpoint,
        "config_name": unique,
        "configuration": {"ProductionVariants": variants, **extras},
        "previous_config": live.config if live else None,
        "staging": staging,
        "staging_config": f"{unique}-s",
        "staging_variant": rollout.staging_variant(unique, deploy),
        "ab_percent": deploy.ab_percent if rival else 0,
        "poll_seconds": rollout.poll_seconds(deploy),
        **watching(endpoint, variants, deploy, live, at_once, names.tags(tenant, project, run)),
        **shadow(unique, deploy, live),
    }


def unique_name(tenant: str, project: str, version: int) -> str:
    """Return a name that no other deployment has: of its models and configurations."""
    return f"{tenant}--{project}--v{version}-{secrets.token_hex(4)}"


def shadow(unique: str, deploy: Deploy, live: Live | None) -> dict[str, Any]:
    """Return the configuration with the new version in the champion's shadow; None where there is none."""
    if not live or not deploy.shadow_percent:
        return {"shadow": None}
    configuration = rollout.shadow_configuration(unique, deploy, live)
    return {"shadow": {"config_name": f"{unique}-w", **configuration}}


def watching(
    endpoint: str,
    variants: list[dict[str, Any]],
    deploy: Deploy,
    live: Live | None,
    at_once: bool,
    tags: list[dict[str, str]],
) -> dict[str, Any]:
    """Return the alarms to make, which of them are watched and how long, and how UpdateEndpoint moves traffic."""
    served = [variant["VariantName"] for variant in variants]
    shadowed = bool(live and deploy.shadow_percent)
    watched = {name: rollout.alarms(endpoint, name, deploy, tags) for name in (*served, *[rollout.SHADOW] * shadowed)}
    called = {name: [alarm["AlarmName"] for alarm in alarms] for name, alarms in watched.items()}
    update: dict[str, Any] = {}
    if called[rollout.VARIANT] and not at_once and live and same_names(live, served):
        update = {"DeploymentConfig": rollout.deployment_config(deploy, called[rollout.VARIANT])}
    return {
        "alarms": [alarm for alarms in watched.values() for alarm in alarms],
        "watch": {
            "shadow": {"alarms": called.get(rollout.SHADOW, []), "minutes": deploy.shadow_minutes},
            "challenger": {"alarms": called.get(rollout.CHALLENGER, []), "minutes": deploy.bake_minutes},
        },
        "update": update,
    }


def same_names(live: Live, served: list[str]) -> bool:
    """Say whether SageMaker may shift traffic in steps: both configurations have variants of the same names."""
    return {variant["VariantName"] for variant in live.variants} == set(served)


def describe_package(arn: str, tenant: str, project: str) -> dict[str, Any]:
    """Return a package of this project.

    Raises:
        InvalidConfig: when it is another project's, or does not exist.
    """
    group = names.model_group(tenant, project)
    allowed = f"the ARN of a model package of group {group}"
    if f":model-package/{group}/" not in arn:
        raise InvalidConfig("package_arn", arn, allowed)
    try:
        return client("sagemaker").describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        raise InvalidConfig("package_arn", arn, allowed, str(error)) from error
