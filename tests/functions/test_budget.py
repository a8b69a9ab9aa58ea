"""A tenant's budget: nothing is promised twice, and what was not spent comes back."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contract import ledger
from contract.ledger import MICROS
from contract.run import Outcome
from functions import budget, plan, table
from tests.functions import examples
from tests.functions.conftest import Killed, World

MONTH = "2026-11"


def reserve(world: World, run: str, usd: float, month: str = MONTH) -> str:
    return budget.reserve(examples.request(world.tenant, run), month=month, usd=usd)


def settle(world: World, run: str, usd: float | None, redrives: int = 0, outcome: Outcome = Outcome.DEPLOYED) -> None:
    budget.settle(dataclasses.replace(examples.run(outcome), run=run, tenant=world.tenant, usd=usd), redrives)


def allow(world: World, usd: float) -> None:
    table.put(ledger.budget_key(world.tenant), {"usd": usd})


def month(world: World, month: str = MONTH) -> tuple[float, float]:
    """Return what is committed and what is spent."""
    row = table.get(ledger.month_key(world.tenant, month)) or {}
    return row.get("committed", 0) / MICROS, row.get("spent", 0) / MICROS


def test_a_hundred_racing_runs_never_get_more_than_there_is(world: World) -> None:
    allow(world, 10)
    with ThreadPoolExecutor(16) as pool:
        refusals = list(pool.map(lambda number: reserve(world, f"r-{number}", 0.3), range(100)))
    accepted = [number for number, reason in enumerate(refusals) if not reason]
    assert len(accepted) == 33
    assert month(world) == (9.9, 0)
    charged = [table.get(ledger.charge_key(world.tenant, MONTH, f"r-{number}")) for number in range(100)]
    assert [number for number, row in enumerate(charged) if row] == accepted
    with ThreadPoolExecutor(16) as pool:  # what was not spent comes back, whoever settles at the same time
        list(pool.map(lambda number: settle(world, f"r-{number}", 0.1), accepted))
    assert month(world) == (3.3, 3.3)
    assert not reserve(world, "late", 6.7)
    assert reserve(world, "later", 0.01)


def test_the_same_run_is_charged_once_however_often_it_is_planned_and_settled(world: World) -> None:
    for _ in range(3):
        assert not reserve(world, "r-1", 2.0)
    assert month(world) == (2.0, 0)
    for _ in range(3):
        settle(world, "r-1", 0.5)
    assert month(world) == (0.5, 0.5)


def test_a_run_that_goes_on_reserves_again_on_top_of_what_it_cost(world: World) -> None:
    allow(world, 3)
    assert not reserve(world, "r-1", 2.0)
    settle(world, "r-1", 1.5)
    assert reserve(world, "r-1", 2.0)
    assert not reserve(world, "r-1", 1.5)
    assert month(world) == (3.0, 1.5)
    settle(world, "r-1", 1.75)  # all its jobs, those before among them
    assert month(world) == (1.75, 1.75)


def test_late_news_of_a_bad_end_changes_nothing_that_was_charged_since(world: World) -> None:
    assert not reserve(world, "r-1", 2.0)
    for _ in range(2):
        settle(world, "r-1", 0.5, outcome=Outcome.FAILED)
        assert month(world) == (0.5, 0.5)
    assert not budget.reserve(examples.request(world.tenant, "r-1"), month=MONTH, usd=1.0, redrives=1)
    settle(world, "r-1", 0.5, outcome=Outcome.FAILED)
    assert month(world) == (1.5, 0.5), "it was resumed meanwhile"
    settle(world, "r-1", 0.75, redrives=1, outcome=Outcome.STOPPED)
    settle(world, "r-1", 0.5, outcome=Outcome.FAILED)
    assert month(world) == (0.75, 0.75), "and ended again"
    assert not budget.reserve(examples.request(world.tenant, "r-1"), month=MONTH, usd=1.0, redrives=2)
    settle(world, "r-1", 1.25)  # by an older definition, which does not say how often it was redriven
    assert month(world) == (1.25, 1.25)


def test_what_no_plan_reserved_is_spent_all_the_same(world: World) -> None:
    settle(world, "rejected", 0.25)
    assert month(world) == (0.25, 0.25)


def test_a_run_of_unknown_cost_keeps_its_reservation(world: World) -> None:
    assert not reserve(world, "r-1", 2.0)
    settle(world, "r-1", None)
    assert month(world) == (2.0, 0)


def test_each_month_and_each_tenant_has_a_budget_of_its_own(world: World) -> None:
    allow(world, 1)
    assert not reserve(world, "r-1", 0.9)
    assert reserve(world, "r-2", 0.9)
    assert not reserve(world, "r-2", 0.9, month="2026-12")
    other = dataclasses.replace(world, tenant=f"{world.tenant}x")
    assert not reserve(other, "r-3", 150)  # the installation's default
    assert reserve(other, "r-4", 150)


def test_a_handler_that_dies_before_or_after_the_write_leaves_the_sum_true(world: World, kill_at: Any) -> None:
    for after in (False, True):
        kill_at("dynamodb", "TransactWriteItems", after=after)
        run = f"r-{after}"
        with pytest.raises(Killed):
            reserve(world, run, 1.0)
        assert not reserve(world, run, 1.0)
    assert month(world) == (2.0, 0)


def test_a_plan_over_what_is_left_is_refused_with_the_sums(world: World) -> None:
    allow(world, 2)
    assert not reserve(world, "r-1", 1.5)
    settle(world, "r-1", 0.5)
    assert not reserve(world, "r-2", 1.25)
    given = {
        "run": examples.request(world.tenant, train={"instance": "ml.m5.xlarge"}).to_dict(),
        "dataset": examples.dataset().to_dict(),
        "prepared_in_job": False,
        **world.planning(),
    }
    answer = plan.handler(json.loads(json.dumps(given)), None)
    assert (answer["accepted"], answer["outcome"]) == (False, Outcome.REFUSED)
    (reason,) = answer["reasons"]
    for part in ("$0.82", "budget of $2.00 for 2026-11", "$0.50 is spent", "$1.25 reserved", "tandem budget"):
        assert part in reason
    allow(world, 3)
    assert plan.handler(given, None)["accepted"]
    assert month(world)[0] == pytest.approx(0.5 + 1.25 + answer["worst_case"]["usd"])


def test_a_plan_that_comes_after_its_run_was_stopped_reserves_nothing(world: World) -> None:
    given: dict[str, Any] = {
        "run": examples.request(world.tenant).to_dict(),
        "dataset": examples.dataset().to_dict(),
        "prepared_in_job": False,
        "redrives": 0,
        **world.planning(),
    }
    settle(world, given["run"]["run"], 0.0)  # it had cost nothing yet
    answer = plan.handler(json.loads(json.dumps(given)), None)
    assert (answer["accepted"], answer["reasons"]) == (False, ["the run has ended meanwhile"])
    assert month(world) == (0, 0)
    answer = plan.handler(json.loads(json.dumps(given | {"redrives": 1})), None)
    assert answer["accepted"]
    settle(world, given["run"]["run"], 0.5, redrives=1)
    assert not plan.handler(json.loads(json.dumps(given | {"redrives": 1})), None)["accepted"]
    assert month(world) == (0.5, 0.5)
