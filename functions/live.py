"""What serves behind a project's endpoint now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from contract.errors import EndpointBusy
from functions.rollout import Live
from functions.shared import client, error_code, logger

STEADY = ("InService", "OutOfService")
BROKEN = ("Failed", "UpdateRollbackFailed")


def look(endpoint: str) -> Live | None:
    """Return what serves behind an endpoint; None when there is no endpoint, so that one is created.

    Raises:
        EndpointBusy: while the endpoint changes, and after a broken one was sent away.
    """
    status, config = describe_endpoint(endpoint)
    if status in BROKEN:
        clear(endpoint)
    if status is not None and status not in STEADY:
        raise EndpointBusy(f"endpoint {endpoint} is {status}")
    if config is None:
        return None
    serving = client("sagemaker").describe_endpoint(EndpointName=endpoint).get("ProductionVariants", [])
    counts = {each["VariantName"]: each.get("CurrentInstanceCount") for each in serving}
    return Live(
        config=config,
        variants=tuple(_as_serving(each, counts.get(each["VariantName"])) for each in _configured(config)),
    )


def asleep(row: Mapping[str, Any], endpoint: str) -> Live | None:
    """Return what will serve behind an endpoint when the champion wakes; None when none sleeps there."""
    if not row.get("asleep") or row["endpoint"] != endpoint:
        return None
    return Live(config=row["configuration"], variants=tuple(_configured(row["configuration"])))


def _configured(config: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("sagemaker").describe_endpoint_config(EndpointConfigName=config)[
        "ProductionVariants"
    ]
    return found


def _as_serving(variant: dict[str, Any], count: int | None) -> dict[str, Any]:
    return {**variant, "InitialInstanceCount": count} if count and "InitialInstanceCount" in variant else variant


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
    found = _describe(endpoint)
    return found.get("EndpointStatus"), found.get("EndpointConfigName")


def in_service_since(endpoint: str) -> datetime | None:
    """Return when an endpoint was made; None where none is in service."""
    found = _describe(endpoint)
    return found["CreationTime"] if found.get("EndpointStatus") == "InService" else None


def _describe(endpoint: str) -> dict[str, Any]:
    try:
        return dict(client("sagemaker").describe_endpoint(EndpointName=endpoint))
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        return {}
