"""Plan deployment: what the deployment machine makes, and under which names.

It runs while the machine holds the project's lease, so nobody else deploys
there. Whatever it finds half-made by a deployment that died is cleared away.
"""

from __future__ import annotations

import secrets
from typing import Any

from botocore.exceptions import ClientError

from contract import ledger, names, packages
from contract.config import Deploy
from contract.errors import EndpointBusy, InvalidConfig
from contract.recipes import SCRIPT
from functions import table
from functions.shared import client, error_code, logger

VARIANT = "AllTraffic"
STEADY = ("InService", "OutOfService")
BROKEN = ("Failed", "UpdateRollbackFailed")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Plan the deployment of ``event["package_arn"]``.

    Args:
        event: ``{"tenant", "project", "run", "package_arn", "expected_champion"}``; the last is a package ARN,
            "" when there was no champion, or None when any may be replaced.
        context: unused.

    Returns:
        ``champion_changed`` and ``champion`` (its package ARN, "" when there is none); and what :func:`plan` does.

    Raises:
        EndpointBusy: while an endpoint of the project is changing; passes by itself.
        InvalidConfig: when the package is not this project's.
    """
    tenant, project = names.check_name("tenant", event["tenant"]), names.check_name("project", event["project"])
    champion = (table.get(ledger.champion_key(tenant, project)) or {}).get("package_arn", "")
    expected = event.get("expected_champion")
    if expected is not None and champion not in (expected, event["package_arn"]):  # our own: an earlier try got so far
        logger.warning("champion changed", extra={"run": event["run"], "expected": expected, "champion": champion})
        return {"champion_changed": True, "champion": champion, "endpoint": None, "version": None}
    return {"champion_changed": False, "champion": champion, **plan(tenant, project, event["package_arn"])}


def plan(tenant: str, project: str, package_arn: str) -> dict[str, Any]:
    """Return names and settings of everything the machine makes."""
    package = describe_package(package_arn, tenant, project)
    properties = package["CustomerMetadataProperties"]
    if properties["recipe"] == SCRIPT:
        allowed = "a version that our server can serve"
        fix = "A script wrote it, in a format of its own: serve it with a container of yours."
        raise InvalidConfig("package_arn", package_arn, allowed, fix)
    container = package["InferenceSpecification"]["Containers"][0]
    deploy = packages.deploy_settings(properties)
    endpoint, staging = names.endpoint(tenant, project, deploy.target), names.staging_endpoint(tenant, project)
    clear(staging)
    version = packages.version(package_arn)
    unique = f"{tenant}--{project}--v{version}-{secrets.token_hex(5)}"
    return {
        "run": properties["run"],
        "image_uri": container["Image"],
        "model_name": unique,
        "config_name": unique,
        "model_data_url": container["ModelDataUrl"],
        "golden_uri": properties["golden"],
        "endpoint": endpoint,
        "staging": staging,
        "variant": variant(unique, deploy),
        "target": deploy.target,
        "version": version,
        "tags": names.tags(tenant, project, properties["run"]),
        "previous_config": current_config(endpoint),
    }


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


def variant(model: str, deploy: Deploy) -> dict[str, Any]:
    """Return the ProductionVariant."""
    common = {"VariantName": VARIANT, "ModelName": model, "InitialVariantWeight": 1.0}
    if deploy.target == "serverless":
        size = {"MemorySizeInMB": deploy.memory_mb, "MaxConcurrency": deploy.max_concurrency}
        return {**common, "ServerlessConfig": size}
    return {**common, "InstanceType": deploy.instance, "InitialInstanceCount": deploy.instances}


def current_config(endpoint: str) -> str | None:
    """Return the endpoint configuration in service; None when there is no endpoint, so that one is created.

    Raises:
        EndpointBusy: while the endpoint changes, and after a broken one was sent away.
    """
    status, config = describe_endpoint(endpoint)
    if status in BROKEN:
        clear(endpoint)
    if status is not None and status not in STEADY:
        raise EndpointBusy(f"endpoint {endpoint} is {status}")
    return config


def clear(endpoint: str) -> None:
    """Delete an endpoint that an earlier deployment left.

    Raises:
        EndpointBusy: until it is gone.
    """
    status, _ = describe_endpoint(endpoint)
    if status is None:
        return
    if status in (*STEADY, *BROKEN):
        logger.warning("deleting an endpoint that was left over", extra={"endpoint": endpoint, "status": status})
        client("sagemaker").delete_endpoint(EndpointName=endpoint)
    raise EndpointBusy(f"endpoint {endpoint}, left by an earlier deployment, is going away")


def describe_endpoint(endpoint: str) -> tuple[str | None, str | None]:
    """Return an endpoint's status and configuration; None and None when there is none."""
    try:
        found = client("sagemaker").describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        return None, None
    return found["EndpointStatus"], found["EndpointConfigName"]
