"""Plan sleep: what puts a model to sleep, or wakes it.

A real-time endpoint has no stop button: asleep, it is deleted, and its configuration and model are kept; awake, it is
made from them again. It runs while the machine holds the project's lease, so nobody deploys there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contract import ledger, names, sleeping
from contract.errors import EndpointBusy, InvalidConfig
from functions import scaling, table, unasked
from functions.live import BROKEN, clear, describe_endpoint
from functions.shared import logger

SLEEP, WAKE, NOTHING = "sleep", "wake", "nothing_to_do"
POLL_SECONDS = 15
HOURS = "hours"
IDLE = "idle"
"""Who asks, when no person does: functions/sleepers.py."""
GOING, COMING = "Deleting", "Creating"


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Plan what brings a champion's endpoint into the wanted state.

    Args:
        event: ``{"tenant", "project", "asleep", "by", "stopped_by"}``: whether it is to be asleep; who asks, a
            ``person``, the ``hours`` or ``idle``; and the error of the execution that this one finishes the work of.
        context: unused.

    Returns:
        ``verdict``: ``sleep``, ``wake`` or ``nothing_to_do``; ``there``: whether there is an endpoint; and what the
        states make of it.

    Raises:
        EndpointBusy: while the endpoint changes; passes by itself.
        InvalidConfig: for a project that cannot be put to sleep.
    """
    tenant, project = names.check_name("tenant", event["tenant"]), names.check_name("project", event["project"])
    row = _champion(tenant, project)
    status, config = describe_endpoint(row["endpoint"])
    verdict = _verdict(event, row, status, config)
    logger.info("planned", extra={"project": f"{tenant}/{project}", "verdict": verdict, "status": status})
    if verdict == NOTHING:
        return {"verdict": verdict, "asleep": bool(row.get("asleep"))}
    _wait_until_steady(verdict, row["endpoint"], status)
    by_hand = event["by"] != HOURS
    return {
        "verdict": verdict,
        "asleep": verdict == SLEEP,
        "there": status not in (None, GOING),
        "endpoint": row["endpoint"],
        "config_name": row["configuration"],
        "package_arn": row["package_arn"],
        "tags": names.tags(tenant, project, row["run"]),
        "scaling": scaling.of_champion(row) if verdict == WAKE else [],
        "held_until": sleeping.held_until(sleeping.hours_of(row), datetime.now(UTC)) if by_hand else "",
        "poll_seconds": POLL_SECONDS,
    }


def _champion(tenant: str, project: str) -> dict[str, Any]:
    row = table.get(ledger.champion_key(tenant, project))
    if row is None:
        raise InvalidConfig("project", f"{tenant}/{project}", "a project with a version in service")
    if row["target"] != sleeping.SLEEPS:
        fix = f"It is served by target {row['target']!r}, which costs nothing when idle, or scales to zero."
        raise InvalidConfig("project", f"{tenant}/{project}", "one with a real-time endpoint", fix)
    return row


def _verdict(event: dict[str, Any], row: dict[str, Any], status: str | None, config: str | None) -> str:
    wanted = bool(event["asleep"])
    if event.get("stopped_by") == names.DESTROYED:
        return NOTHING
    if not _still(event, row, status):
        return NOTHING
    if wanted:
        return NOTHING if row.get("asleep") and status in (None, GOING) else SLEEP
    serves = status not in (None, GOING, COMING, *BROKEN) and config == row["configuration"]
    return NOTHING if serves and not row.get("asleep") else WAKE


def _still(event: dict[str, Any], row: dict[str, Any], status: str | None) -> bool:
    """Say whether what was asked is still to be: while this waited for the lease, others may have decided otherwise.

    An endpoint that an idle model has no more was deleted by an attempt that died, which is finished.
    """
    now = datetime.now(UTC)
    if event["by"] == HOURS:
        return sleeping.wanted(row, now) is bool(event["asleep"])
    return event["by"] != IDLE or status in (None, GOING) or unasked.is_idle(row, now)


def _wait_until_steady(verdict: str, endpoint: str, status: str | None) -> None:
    """Return when the endpoint can be deleted, or made.

    Raises:
        EndpointBusy: until then.
    """
    if verdict == WAKE and status in BROKEN:
        clear(endpoint)
    changing = ("Updating", "SystemUpdating", "RollingBack", COMING if verdict == SLEEP else GOING)
    if status in changing:
        raise EndpointBusy(f"endpoint {endpoint} is {status}")
