"""Which run holds how many machines: no two runs are promised the last one of a quota.

One row of the ledger says what every run that goes on holds, so that all quotas change together, under a version
number: who read an older version reads again. A run gives back what it holds when it is settled; where whoever
settled it died before that, the run loses it as soon as another lacks it. One whose end was never settled is RUNNING in
the ledger, and holds its machines until it is. What runs outside of Tandem is not known here: SageMaker refuses such a
job (ResourceLimitExceeded), which the states take for missing capacity.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from boto3.dynamodb.conditions import Attr

from contract import ledger
from contract.machines import Grant, Machines, Quotas, Wish, decide, together
from contract.run import RUNNING
from functions import quotas, table

TRIES = 60
LONGEST_PAUSE = 0.3
"""Seconds between two tries."""
Held = Mapping[str, Machines]
"""What each run holds."""


def look(wish: Wish) -> Grant:
    """Return what a run would get now, without taking it."""
    return _twice(lambda limits: decide(wish, limits, together(_read()[0].values())), wish)


def take(run: str, wish: Wish) -> Grant:
    """Have a run hold what it can get of what it could use; what it held before is given back."""
    return _twice(lambda limits: _take(run, wish, limits), wish)


def _twice(attempt: Callable[[Quotas], Grant], wish: Wish) -> Grant:
    """Refuse nobody for a quota that was raised some minutes ago."""
    grant = attempt(quotas.of(wish.names))
    return attempt(quotas.of(wish.names, fresh=True)) if grant.refused else grant


def _take(run: str, wish: Wish, limits: Quotas) -> Grant:
    granted = Grant()

    def change(held: Held) -> Held:
        nonlocal granted
        others = {each: machines for each, machines in held.items() if each != run}
        granted = decide(wish, limits, together(others.values()))
        if granted.waits:
            others = {each: machines for each, machines in others.items() if _goes_on(each)}
            granted = decide(wish, limits, together(others.values()))
        return {**others, run: granted.held} if granted.held else others

    _change(change)
    return granted


def _goes_on(run: str) -> bool:
    return (table.get(ledger.run_key(run)) or {}).get("status") == RUNNING


def retake(run: str, machines: Machines) -> str:
    """Have a run hold again what it held before it ended; return why it cannot."""
    grant = take(run, Wish(always=machines, ways={"": {}}, spot={}, later={})) if machines else Grant()
    return grant.refused or grant.waits


def release(run: str) -> None:
    """Take back what a run holds."""
    _change(lambda held: {each: machines for each, machines in held.items() if each != run})


def _read() -> tuple[Held, int]:
    row = table.get(ledger.MACHINES_KEY) or {}
    return row.get("held", {}), row.get("version", 0)


def _change(to: Callable[[Held], Held]) -> None:
    for attempt in range(TRIES):
        held, version = _read()
        new = to(held)
        if new == held:
            return
        unchanged = Attr("version").eq(version) if version else Attr("version").not_exists()
        if table.change(ledger.MACHINES_KEY, {"held": new, "version": version + 1}, only_if=unchanged):
            return
        time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))
    raise TimeoutError(f"other runs took and gave back machines at the same moment, {TRIES} times in a row")
