"""What a tenant may spend a month: reserved before anything is paid, settled with what was.

A run is charged its worst case when it is planned and its true cost when it is
settled, in the month in which it began. Both change the charge and the month's
sum in one transaction, so that runs that race for the last dollars cannot get
them twice, and news that arrive twice change nothing. A plan that comes after
its run has ended, because somebody stopped the run meanwhile, gets nothing.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contract import ledger, names
from contract.ledger import MICROS
from contract.request import RunRequest
from contract.run import Outcome, Run
from functions import table
from functions.shared import environment

TRIES = 40
LONGEST_PAUSE = 0.5
"""Seconds between two tries: a transaction is refused while another one changes the same rows."""


def month_of(started: str) -> str:
    """Return the month of a time in ISO 8601: ``2026-11``."""
    return started[:7]


def limit(tenant: str) -> float:
    """Return what a tenant may spend a month, in US dollars."""
    row = table.get(ledger.budget_key(tenant))
    return float(row["usd"]) if row else float(environment(names.MONTHLY_USD))


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where a run's charge stands."""

    tenant: str
    project: str
    month: str
    run: str


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A run's row: amounts in millionths of a US dollar; its fields are explained in contract/ledger.py."""

    charged: int = 0
    settled: int = 0
    ended: int = -1


FIELDS = [field.name for field in dataclasses.fields(Charge)]


class Ended(Exception):
    """The run has ended."""


def reserve(request: RunRequest, *, month: str, usd: float, redrives: int | None = None) -> str:
    """Charge a run what it may cost, on top of what it did cost already; return why not, or an empty text.

    Args:
        request: whose.
        month: in which the run began.
        usd: what it may cost from now on.
        redrives: of the execution, when this was asked; None where the execution does not tell it.
    """
    account = Account(tenant=request.tenant, project=request.project, month=month, run=request.run)
    allowed = limit(request.tenant)

    def change(charge: Charge) -> Charge:
        if redrives is not None and charge.ended >= redrives:
            raise Ended
        return dataclasses.replace(charge, charged=charge.settled + _micros(usd))

    try:
        return "" if _charge(account, change, most=_micros(allowed)) else _refusal(account, usd, allowed)
    except Ended:
        return "the run has ended meanwhile"


def settle(run: Run, redrives: int) -> None:
    """Charge a run that ended after so many redrives what it did cost; with no known cost it keeps its reservation.

    News of a bad end may come again, and late: what was charged since that end was settled stays.
    """
    if not run.tenant or run.usd is None:
        return
    account = Account(tenant=run.tenant, project=run.project, month=month_of(run.started), run=run.run)
    cost = _micros(run.usd)
    is_bad = run.outcome in (Outcome.FAILED, Outcome.STOPPED)

    def change(charge: Charge) -> Charge:
        resumed = charge.ended == redrives and charge.charged > charge.settled
        if is_bad and (resumed or charge.ended > redrives):
            return charge
        return Charge(charged=cost, settled=cost, ended=max(charge.ended, redrives))

    _charge(account, change)


def _charge(account: Account, change: Callable[[Charge], Charge], most: int | None = None) -> bool:
    """Change a run's charge and with it the month's sums, both or neither.

    Args:
        account: whose.
        change: returns the charge from now on; takes the one so far. What it raises is raised, and nothing changes.
        most: what the month may have committed then; None for any sum. Where it is more, nothing changes, and False is
            returned.
    """
    key = ledger.charge_key(account.tenant, account.month, account.run)
    for attempt in range(TRIES):
        row = table.get(key)
        old = Charge(**{field: row[field] for field in FIELDS if field in row}) if row else Charge()
        new = change(old)
        if new == old:
            return True
        more = new.charged - old.charged
        if most is not None and more > most:
            return False
        why = table.transact(
            _add_to_month(account, more, new.settled - old.settled, most),
            _put({**key, "project": f"{account.tenant}/{account.project}"}, new, row),
        )
        if not why:
            return True
        if why[0] == "ConditionalCheckFailed":
            return False
        time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
    raise TimeoutError(f"others changed the budget of {account.tenant} at the same moment, {TRIES} times in a row")


def _add_to_month(account: Account, committed: int, spent: int, most: int | None) -> dict[str, Any]:
    change: dict[str, Any] = {
        "Key": ledger.month_key(account.tenant, account.month),
        "UpdateExpression": "ADD committed :committed, spent :spent",
        "ExpressionAttributeValues": {":committed": committed, ":spent": spent},
    }
    if most is not None and committed > 0:
        change["ConditionExpression"] = "attribute_not_exists(committed) OR committed <= :room"
        change["ExpressionAttributeValues"] |= {":room": most - committed}
    return {"Update": change}


def _put(row: dict[str, str], charge: Charge, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the write of a charge that nobody has changed since it was read."""
    item = {**row, **dataclasses.asdict(charge)}
    if not before:
        return {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
    unchanged = " AND ".join(
        f"{field} = :{field}" if field in before else f"attribute_not_exists({field})" for field in FIELDS
    )
    read = {f":{field}": before[field] for field in FIELDS if field in before}
    return {"Put": {"Item": item, "ConditionExpression": unchanged, "ExpressionAttributeValues": read}}


def _refusal(account: Account, usd: float, allowed: float) -> str:
    row = table.get(ledger.month_key(account.tenant, account.month)) or {}
    committed, spent = row.get("committed", 0) / MICROS, row.get("spent", 0) / MICROS
    return (
        f"the worst case costs ${usd:.2f}, more than is left of {account.tenant}'s budget of ${allowed:.2f} for"
        f" {account.month}: ${spent:.2f} is spent and ${committed - spent:.2f} reserved by runs in progress. Wait until"
        " those have ended, lower the worst case (train.max_minutes, train.hosts), or raise the budget:"
        f" `tandem budget {account.tenant} AMOUNT`"
    )


def _micros(usd: float) -> int:
    return round(usd * MICROS)
