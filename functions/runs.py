"""A run's row in the ledger, from RUNNING to settled, and the event that tells of it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase

from contract import ledger, names
from contract.run import RUNNING, Outcome
from functions import bus, history, table

UNFINISHED = (RUNNING, Outcome.FAILED.value, Outcome.STOPPED.value)
"""Statuses that may change: a redrive can still make a good end of a run that failed or was stopped."""


TOLD = (
    "run", "outcome", "reasons", "started", "ended", "usd", "upload", "recipe", "package_arn", "execution_arn",
    "upload_version", "fingerprint", "model_sha256", "gate",
)  # fmt: skip
"""Attributes of the row that the event carries, besides tenant and project."""


RESUMPTION = ("resumes", "reserved_usd", "resumed")
"""Attributes that a resumption adds: of which redrive it is, what it reserved, and when it was (ISO 8601)."""


class RunIdTaken(Exception):
    """Another execution made the run of this id; nothing of it is touched."""


def begin(run: str, execution_arn: str, values: Mapping[str, Any]) -> None:
    """Make the run's row, RUNNING; do nothing when this execution made it before.

    Raises:
        RunIdTaken: when another execution did.
    """
    row = {"run": run, "status": RUNNING, "execution_arn": execution_arn, **values}
    if table.add(ledger.run_key(run), row):
        return
    owner = (table.get(ledger.run_key(run)) or {}).get("execution_arn")
    if owner != execution_arn:
        raise RunIdTaken(f"run {run} belongs to {owner}; start the execution again under another name")


def started(run: str) -> str:
    """Return when a run began, in ISO 8601."""
    return str(_known(run)["started"])


def going_since(run: str) -> str:
    """Return when a run began, or when it was last resumed, in ISO 8601."""
    row = _known(run)
    return str(row.get("resumed") or row["started"])


def _known(run: str) -> dict[str, Any]:
    row = table.get(ledger.run_key(run))
    if row is None:
        raise LookupError(f"the ledger has no run {run!r}; Accept request makes its row")
    return row


def note(run: str, values: Mapping[str, Any]) -> None:
    """Add what was learned of a run to its row."""
    table.change(ledger.run_key(run), values, only_if=Attr("pk").exists())


def note_idle(run: str, job: str, why: str) -> None:
    """Note why a job of a run is being stopped: its GPUs do nothing. The last such job is remembered."""
    note(run, {"idle_job": {"name": job, "why": why}})


def why_stopped(run: str, among: Container[str]) -> str:
    """Return why a job of a run was stopped, if it is among these names, or in this text; else nothing."""
    job = (table.get(ledger.run_key(run)) or {}).get("idle_job")
    return str(job["why"]) if job and job["name"] in among else ""


class Age(Enum):
    """What news of a run's end is worth."""

    NEW = "the row does not know it"
    UNTOLD = "the row knows it, but its event was not put"
    OLD = "nothing is left to do"


def age(row: Mapping[str, Any], outcome: str, ended: str) -> Age:
    """Compare news of a run's end with its row.

    A good end settles a run once. A bad one may be followed by a redrive, whose
    end (good, or bad at a later time) replaces it.
    """
    status = row["status"]
    if status == RUNNING and outcome in UNFINISHED and ended <= row.get("ended", ""):
        return Age.OLD  # the end before the redrive that goes on now
    if status == RUNNING or (status in UNFINISHED and outcome not in UNFINISHED):
        return Age.NEW
    if status in UNFINISHED and ended > row["ended"]:
        return Age.NEW
    same = status == outcome and (status not in UNFINISHED or ended == row["ended"])
    return Age.UNTOLD if same and not row.get("announced") else Age.OLD


def settle(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Settle a row that is still as it was read; return False when somebody else changed it."""
    return table.change(ledger.run_key(row["run"]), {**values, "announced": False}, only_if=_unchanged(row))


def resume(row: Mapping[str, Any], *, redrive: int, reserved_usd: float) -> bool:
    """Have a row that is still as it was read tell that its run goes on; return False when somebody changed it.

    It keeps ``ended``, so that late news of that end is known to be old, and ``usd``, what the run has cost so far.
    """
    values = {"status": RUNNING, "outcome": None, "reasons": None, "resumes": redrive, "reserved_usd": reserved_usd}
    values["resumed"] = history.iso(datetime.now(UTC))
    return table.change(ledger.run_key(row["run"]), values, only_if=_unchanged(row))


def restore(row: Mapping[str, Any]) -> None:
    """Take back what :func:`resume` wrote."""
    values = {name: row.get(name) for name in ("status", "outcome", "reasons", *RESUMPTION)}
    table.change(ledger.run_key(row["run"]), values, only_if=Attr("status").eq(RUNNING))


def _unchanged(row: Mapping[str, Any]) -> ConditionBase:
    """Return the condition that nobody settled the row since it was read: resumed after that, it is RUNNING again."""
    same_end = Attr("ended").eq(row["ended"]) if row.get("ended") else Attr("ended").not_exists()
    return Attr("status").eq(row["status"]) & same_end


def announce(row: Mapping[str, Any]) -> None:
    """Put the end of a run on the bus, and remember that.

    Once, unless the function is killed between the two: then a second time,
    because a missing event is worse than a repeated one.
    """
    tenant, _, project = str(row.get("project", "")).partition("/")
    told = {name: row.get(name) for name in TOLD}
    told["summary"] = "; ".join(row.get("reasons") or ())  # EventBridge puts texts into a message, but no lists
    bus.put(names.EVENT_RUN_SETTLED, {**told, "tenant": tenant, "project": project})
    note(row["run"], {"announced": True})
