"""Every quarter of an hour: each model whose sleeping hours say otherwise than it is gets its machine started.

So does one that nobody has asked for as long as it says (``deploy.sleep = "idle 6h"``).

One schedule serves all projects: it compares what is wanted with what is there, so that a tick that was missed, or a
machine that failed, is made good by the next one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from contract import ledger, names, sleeping
from functions import table, unasked
from functions.live import describe_endpoint
from functions.shared import client, environment, error_code, logger
from functions.sleep import GOING, HOURS, IDLE


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Start what brings each model into the state that its hours want now.

    Args:
        event: the schedule's; one that comes twice has the same ``id``, and starts nothing twice.
        context: unused.

    Returns:
        ``{"started"}``: names of executions.

    Raises:
        RuntimeError: when a model could not be looked at, with the reason; the others were.
    """
    now, started, failed = datetime.now(UTC), [], []
    for row in table.scan(ledger.BY_SLEEP):
        try:
            if change := _change(row, now):
                started.append(_start(row, *change, event["id"][:8]))
        except Exception as error:  # whatever is wrong with one model, the others sleep and wake
            logger.exception("a model was not looked at", extra={"row": row["pk"]})
            failed.append(f"{row['pk']}: {error}")
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"started": started}


def _change(row: dict[str, Any], now: datetime) -> tuple[bool, str] | None:
    """Return whether a model is to sleep or wake now, and why; None where it is as it is to be."""
    asleep = sleeping.wanted(row, now)
    if asleep is not None and _differs(row, asleep):
        return asleep, HOURS
    return (True, IDLE) if unasked.is_idle(row, now) else None


def _differs(row: dict[str, Any], asleep: bool) -> bool:
    """Say whether a champion is not what it is to be; one asleep whose endpoint is there nevertheless costs money."""
    if bool(row.get("asleep")) is not asleep:
        return True
    return asleep and describe_endpoint(row["endpoint"])[0] not in (None, GOING)


def _start(row: dict[str, Any], asleep: bool, by: str, tick: str) -> str:
    """Start the machine, once in a tick; return the execution's name."""
    tenant, project = ledger.project_of(row["pk"])
    name = names.sleep_execution(tenant, project, asleep, tick)
    asked = {"tenant": tenant, "project": project, "asleep": asleep, "by": by}
    try:
        client("stepfunctions").start_execution(
            stateMachineArn=environment(names.SLEEP_ARN), name=name, input=json.dumps(asked)
        )
    except ClientError as error:
        if error_code(error) != "ExecutionAlreadyExists":
            raise
    logger.info("started", extra={"project": f"{tenant}/{project}", "asleep": asleep})
    return name
