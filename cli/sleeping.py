"""Starts what puts a model to sleep or wakes it, follows it, and tells how it ended."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from cli import ledger, watch
from cli.aws import split_project
from cli.errors import CommandError, Exit, NotDeployed, NotFound, Unwatched
from cli.follow import explain_failure
from cli.options import Context
from contract import names, sleeping
from contract.errors import InvalidConfig


def change(context: Context, project: str, *, asleep: bool) -> int:
    """Bring a model to sleep, or wake it.

    Raises:
        NotFound: when nothing is in service.
        InvalidConfig: for a model that is not served by a real-time endpoint.
        CommandError: when it failed.
    """
    tenant, name = split_project(project)
    _check(context, tenant, name)
    arn, title = _start(context, tenant, name, asleep), "goes to sleep" if asleep else "wakes"
    try:
        progress = watch.show(watch.Watcher(context.account, arn), context.out, f"{project}  {title}")
    except KeyboardInterrupt:
        raise Unwatched(f"The model {title}; only following it has stopped. The execution is {arn}.") from None
    if progress.status != "SUCCEEDED":
        raise CommandError(explain_failure(progress), f"Look at the execution in the Step Functions console: {arn}")
    row = ledger.champion(context.account, tenant, name) or {}
    context.out.document({"project": project, "asleep": row.get("asleep"), "held_until": row.get("held_until") or None})
    context.out.show(told(row, datetime.now(UTC)))
    return Exit.GOOD


def told(row: dict[str, Any], now: datetime) -> str:
    """Return in words how a champion is now, and until when."""
    if row.get("asleep"):
        return sleeping.told(row, now)
    hours = sleeping.hours_of(row)
    if hours is None:
        return "The model is awake."
    return (
        f"The model is awake until {hours.falls(now).astimezone(hours.zone):%Y-%m-%d %H:%M} ({row['sleep_timezone']})."
    )


def _check(context: Context, tenant: str, name: str) -> None:
    row = ledger.champion(context.account, tenant, name)
    if row is None:
        raise NotFound(f"No model of {tenant}/{name} is in service.", f"`tandem runs {tenant}/{name}` tells what ran.")
    if row["target"] != sleeping.SLEEPS:
        fix = f"It is served by target {row['target']!r}, which costs nothing when idle, or scales to zero."
        raise InvalidConfig("project", f"{tenant}/{name}", "a project with a real-time endpoint", fix)


def _start(context: Context, tenant: str, name: str, asleep: bool) -> str:
    machine = context.account.outputs.get(names.OUTPUT_SLEEP_ARN)
    if machine is None:
        raise NotDeployed("What is deployed there is older and cannot put models to sleep.", "Deploy it: tandem deploy")
    answer = context.account.client("stepfunctions").start_execution(
        stateMachineArn=machine,
        name=names.sleep_execution(tenant, name, asleep, f"by-hand-{time.time_ns() // 1_000_000:x}"),
        input=json.dumps({"tenant": tenant, "project": name, "asleep": asleep, "by": "person"}),
    )
    return str(answer["executionArn"])
