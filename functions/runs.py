"""A run's row in the ledger, from RUNNING to settled, and the event that tells of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase

from contract import ledger, names
from contract.run import RUNNING, Outcome
from functions import table
from functions.shared import client

UNFINISHED = (RUNNING, Outcome.FAILED.value, Outcome.STOPPED.value)
"""Statuses that may change: a redrive can still make a good end of a run that failed or was stopped."""


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


def note(run: str, values: Mapping[str, Any]) -> None:
    """Add what was learned of a run to its row."""
    table.change(ledger.run_key(run), values, only_if=Attr("pk").exists())


def may_settle(row: Mapping[str, Any], outcome: str, ended: str) -> bool:
    """Say whether this news of a run's end is newer than its row.

    A good end settles a run once. A bad one may be followed by a redrive, whose
    end (good, or bad at a later time) replaces it.
    """
    if row.get("status") not in UNFINISHED:
        return row.get("outcome") == outcome and not row.get("announced")
    if row["status"] == RUNNING or outcome not in UNFINISHED:
        return True
    return ended > str(row.get("ended", "")) or (ended == row.get("ended") and not row.get("announced"))


def settle(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Settle a row that is still as it was read; return False when somebody else changed it."""
    unchanged: ConditionBase = Attr("status").eq(row["status"])
    if row.get("ended"):
        unchanged = unchanged & Attr("ended").eq(row["ended"])
    return table.change(ledger.run_key(row["run"]), {**values, "announced": False}, only_if=unchanged)


def announce(run: str, detail: Mapping[str, Any]) -> None:
    """Put the run's end on the bus and remember that.

    Once, unless the function is killed between the two: then a second time,
    because a missing event is worse than a repeated one.
    """
    answer = client("events").put_events(
        Entries=[
            {
                "Source": names.EVENT_SOURCE,
                "DetailType": names.EVENT_RUN_SETTLED,
                "Detail": json.dumps(detail, ensure_ascii=False),
            }
        ]
    )
    if answer.get("FailedEntryCount"):
        raise RuntimeError(f"the event of run {run} was not taken: {answer['Entries']}")
    note(run, {"announced": True})
