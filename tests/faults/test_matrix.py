"""The fault matrix: every cell ends in a named state, and nothing is stuck, orphaned, lost or untrue afterwards.

Here a subset of a minute: every kind of fault, at some states. ``make faults`` runs all of it.
"""

from __future__ import annotations

import pytest

from contract import ledger
from docs.generate import machines
from local.chaos import results
from local.chaos.catalogue import CATALOGUE
from local.chaos.crew import ENTRIES
from local.chaos.faults import MissingCapacity
from local.chaos.invariants import violations
from local.chaos.lab import LAB
from local.chaos.matrix import applicable, follow, sweep
from local.chaos.round import SURVIVED
from local.chaos.way import Lab
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
def test_a_cell_ends_well_or_says_why(lab: Lab, way: str, fault: str) -> None:
    states = SUBSET[way, fault]
    cells = list(sweep(lab, WAYS[way], ENTRIES[fault], states or applicable(lab, WAYS[way], ENTRIES[fault])))
    assert [f"{cell.state}: {told}" for cell in cells for told in cell.violations] == []
    assert cells, "no state was met"
    assert {cell.state for cell in cells} >= set(states)


def test_every_state_of_every_machine_has_met_a_fault() -> None:
    """By what `make faults` kept; a state that no way reaches needs a reason, and may not be reached."""
    assert results.unmet(results.load(results.RESULTS), machines()) == []


def test_the_faults_of_a_plan_are_met_by_one_run(lab: Lab) -> None:
    spot = WAYS["spot"]
    with LAB.inject(*spot.recalls(lab.folder, "*", set())):
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
    sagemaker, model = lab.site.client("sagemaker"), f"{lab.site.tenant}--wrong--v1"
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:none"
    role = "arn:aws:iam::123456789012:role/none"
    sagemaker.create_model(ModelName=model, PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
    assert violations(lab.site, "wrong") == [
        f"orphaned model: model {model}",
        "lease not released: somebody holds the deployment lease until 1",
    ]
    sagemaker.delete_model(ModelName=model)
