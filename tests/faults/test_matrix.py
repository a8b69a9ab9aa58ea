"""The fault matrix: every cell ends in a named state, and nothing is stuck, orphaned, lost or untrue afterwards.

By default a subset of a minute: every kind of fault, at some states. ``make faults`` runs all of it
(``TANDEM_FAULTS=all``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contract import ledger
from local.chaos.catalogue import CATALOGUE
from local.chaos.faults import MissingCapacity
from local.chaos.invariants import violations
from local.chaos.lab import LAB
from local.chaos.matrix import SURVIVED, applicable, follow, sweep
from local.chaos.routes import ROUTES, Lab

ALL = os.environ.get("TANDEM_FAULTS") == "all"
RESULTS = Path(os.environ.get("TANDEM_FAULTS_RESULTS", os.devnull))
ENTRIES = {entry.name: entry for entry in CATALOGUE}
SUBSET: dict[tuple[str, str], tuple[str, ...]] = {
    ("spot", "throttled"): (),
    ("spot", "definition deployed"): (),
    ("spot", "answer lost"): (),
    ("spot", "expired credentials"): ("Accept request", "Train on spot"),
    ("spot", "execution stopped"): ("Is upload small?", "Deploy"),
    ("spot", "payload over 256 KB"): ("Plan compute",),
    ("spot", "Lambda killed after its write"): ("Accept request", "Register model"),
    ("first version", "endpoint never healthy"): ("Create staging endpoint",),
    ("first version", "execution stopped"): ("Describe staging",),
    ("first version", "payload over 256 KB"): ("Create staging endpoint",),
}
"""The sweeps of a quick run, with the states that are met; () is all that the way passes."""


CASES = [(route, fault) for route in ROUTES for fault in ENTRIES] if ALL else list(SUBSET)


@pytest.mark.timeout(3600 if ALL else 300)
@pytest.mark.parametrize(("route", "fault"), CASES)
def test_a_cell_ends_well_or_says_why(lab: Lab, route: str, fault: str) -> None:
    """Run the cells of a fault on a route, and keep what became of them where the variable says."""
    way, entry = ROUTES[route], ENTRIES[fault]
    states = () if ALL else SUBSET[route, fault]
    cells = list(sweep(lab, way, entry, states or applicable(lab, way, entry)))
    keep({"swept": fault, "route": route}, *(cell.document for cell in cells))
    assert [f"{cell.state}: {told}" for cell in cells for told in cell.violations] == []
    assert ALL or (cells and {cell.state for cell in cells} >= set(states)), "a state was not met"


def keep(*documents: dict[str, Any]) -> None:
    """Add to the file of results, in one write: another worker writes there, too."""
    with RESULTS.open("a") as results:
        results.write("".join(json.dumps(document) + "\n" for document in documents))


def test_the_faults_of_a_plan_are_met_by_one_run(lab: Lab) -> None:
    spot = ROUTES["spot"]
    with LAB.inject(*spot.recalls(lab, "*", set())):
        (cell,) = follow(lab, spot, [MissingCapacity(job="*-spot-*")])
    assert (cell.verdict, cell.end, cell.violations) == (SURVIVED, "DEPLOYED", ())
    assert "-spot-" in cell.state


def test_there_are_at_least_25_faults() -> None:
    assert len(CATALOGUE) >= 25
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)


def test_a_wrong_end_is_seen(lab: Lab) -> None:
    """The checks can fail: a lease that nobody gives back, a model that nothing needs."""
    table = lab.site.outputs["LedgerTable"]
    row = {name: {"S": value} for name, value in ledger.lease_key(lab.site.tenant, "wrong").items()}
    lab.site.client("dynamodb").put_item(
        TableName=table, Item={**row, "holder": {"S": "somebody"}, "expires": {"N": "1"}}
    )
    assert violations(lab.site, "wrong") == ["lease not released: somebody holds the deployment lease until 1"]
