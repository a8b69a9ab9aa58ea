"""The fault matrix: every cell ends in a named state, and nothing is stuck, orphaned, lost or untrue afterwards.

Here a subset of a minute: every kind of fault, at some states. ``make faults`` runs all of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract import ledger
from docs.generate import machines
from local.chaos import results
from local.chaos.catalogue import CATALOGUE
from local.chaos.crew import ENTRIES
from local.chaos.faults import MissingCapacity
from local.chaos.invariants import violations
from local.chaos.lab import LAB
from local.chaos.matrix import follow, sweep
from local.chaos.round import SURVIVED, places
from local.chaos.way import Bench
from local.chaos.ways import WAYS

SUBSET: dict[tuple[str, str], tuple[str, ...]] = {
    ("spot", "throttled"): (),
    ("spot", "answer lost"): ("Register model", "Deploy", "Settle run"),
    ("spot", "expired credentials"): ("Accept request", "Train on spot"),
    ("spot", "execution stopped"): ("Is upload small?", "Deploy"),
    ("spot", "payload over 256 KB"): ("Plan compute",),
    ("spot", "Lambda killed after its write"): ("Accept request", "Register model"),
    ("spot", "event lost"): ("Accept request",),
    ("first version", "endpoint never healthy"): ("Create staging endpoint",),
    ("first version", "execution stopped"): ("Describe staging",),
    ("first version", "payload over 256 KB"): ("Create staging endpoint",),
}
"""The sweeps of a quick run, with the states that are met; () is all that the way passes."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("way", "fault"), SUBSET)
def test_a_cell_ends_well_or_says_why(bench: Bench, way: str, fault: str) -> None:
    states, entry = SUBSET[way, fault], ENTRIES[fault]
    all_of_them = [name for name, place in places(bench, WAYS[way], "none").items() if entry.make(place)]
    cells = list(sweep(bench, WAYS[way], entry, states or all_of_them))
    assert [f"{cell.state}: {told}" for cell in cells for told in cell.violations] == []
    assert cells, "no state was met"
    assert {cell.state for cell in cells} >= set(states)


def test_every_state_of_every_machine_has_met_its_faults() -> None:
    """By what `make faults` kept; a state that no way reaches needs a reason, and may not be reached."""
    assert results.unmet(results.load(results.RESULTS), machines()) == []


def test_the_faults_of_a_plan_are_met_by_one_run(bench: Bench) -> None:
    spot = WAYS["spot"]
    with LAB.inject(*spot.recalls(bench.folder, "*", set())):
        (cell,) = follow(bench, spot, [MissingCapacity(job="*-spot-*")])
    assert (cell.verdict, cell.end, cell.violations) == (SURVIVED, "DEPLOYED", ())
    assert "-spot-" in cell.state


def test_there_are_at_least_25_faults() -> None:
    assert len(CATALOGUE) >= 25
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)


def test_a_wrong_end_is_seen(bench: Bench) -> None:
    """The checks can fail: a lease that nobody gives back, a model that nothing needs, a price that no job had."""
    table, dynamodb = bench.site.outputs["LedgerTable"], bench.site.client("dynamodb")

    def put(key: dict[str, str], **more: dict[str, Any]) -> None:
        dynamodb.put_item(TableName=table, Item={**{name: {"S": value} for name, value in key.items()}, **more})

    lease = ledger.lease_key(bench.site.tenant, "wrong")
    put(lease, holder={"S": "somebody"}, expires={"N": "1"})
    project, times = {"S": f"{bench.site.tenant}/wrong"}, {"S": "2026-11-22T10:00:00Z"}
    told = {"project": project, "started": times, "ended": times, "status": {"S": "FAILED"}, "run": {"S": "wrong-1"}}
    put(ledger.run_key("wrong-1"), **told, usd={"N": "0.25"})
    held = dynamodb.get_item(TableName=table, Key={name: {"S": value} for name, value in ledger.MACHINES_KEY.items()})
    machines = {"wrong-1": {"M": {"ml.m5.xlarge": {"N": "1"}}}}
    put(ledger.MACHINES_KEY, held={"M": machines}, version={"N": "1000000"})
    sagemaker, model = bench.site.client("sagemaker"), f"{bench.site.tenant}--wrong--v1"
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:none"
    role = "arn:aws:iam::123456789012:role/none"
    sagemaker.create_model(ModelName=model, PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
    assert violations(bench.site, "wrong") == [
        f"orphaned model: model {model}",
        "lease not released: somebody holds the deployment lease until 1",
        "cost not true: wrong-1 is FAILED and cost $0.25, $+0.250000 more than its jobs were billed",
        "machines not released: wrong-1 holds ml.m5.xlarge",
    ]
    if before := held.get("Item"):
        dynamodb.put_item(TableName=table, Item=before)
    for key in (lease, ledger.run_key("wrong-1"), *([] if before else [ledger.MACHINES_KEY])):
        dynamodb.delete_item(TableName=table, Key={name: {"S": value} for name, value in key.items()})
    sagemaker.delete_model(ModelName=model)
