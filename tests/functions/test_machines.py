"""Quotas of machines: nothing is promised twice, what cannot be is refused, and what is in use is waited for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import keys, ledger, quotas
from contract import machines as contract_machines
from contract.machines import Grant, wish
from contract.quotas import SPOT, Quota
from contract.run import RUNNING, Outcome
from functions import machines, plan, runs, shared, table
from functions import quotas as account
from tests.functions import examples
from tests.functions.conftest import World

GPU, CPU = "ml.g5.xlarge", "ml.m5.xlarge"
ON_GPU = {"instance": GPU, "fallback_instances": [CPU], "spot": True, "max_minutes": 20}
RICH = {"budget": {"max_usd_per_run": 100.0}}


def limits(**found: Any) -> dict[str, Quota]:
    """Return quotas of GPU and CPU by use: ``gpu_spot``, ``cpu_training``, ``cpu_processing``."""
    names = {key: quotas.name_of(key.partition("_")[2], GPU if key.startswith("gpu") else CPU) for key in found}
    return {name: Quota(name=name, code="L-1", limit=found[key]) for key, name in names.items()}


def decide(taken: dict[str, int] | None = None, *, train: dict[str, Any] = ON_GPU, **found: Any) -> Grant:
    asked = wish(examples.request("acme", train=train, evaluate={"instance": CPU}))
    known = limits(**{"gpu_spot": 1, "gpu_training": 1, "cpu_training": 1, "cpu_processing": 4, **found})
    used = {quotas.name_of(key.partition("_")[2], GPU if key.startswith("gpu") else CPU): n
            for key, n in (taken or {}).items()}  # fmt: skip
    return contract_machines.decide(asked, known, used)


@pytest.mark.parametrize(
    ("taken", "found", "ways"),
    [
        ({}, {}, (GPU, CPU, SPOT)),
        ({}, {"gpu_spot": 0}, (GPU, CPU)),
        ({}, {"gpu_training": 0}, (CPU, SPOT)),
        ({}, {"gpu_training": 0, "cpu_training": 0}, (SPOT,)),
        ({"gpu_training": 1}, {}, (CPU, SPOT)),
        ({"gpu_spot": 1}, {}, (GPU, CPU)),
    ],
    ids=["all", "no spot", "no gpu", "spot alone", "gpu in use", "spot in use"],
)
def test_a_run_takes_the_ways_that_are_open(
    taken: dict[str, int], found: dict[str, Any], ways: tuple[str, ...]
) -> None:
    grant = decide(taken, **found)
    assert (grant.ways, grant.refused, grant.waits) == (ways, "", "")
    assert len(grant.held) == len(ways) + 1  # and Evaluate's


def test_a_run_waits_for_what_others_use() -> None:
    grant = decide({"gpu_training": 1, "cpu_training": 1})
    assert grant.waits.startswith(f"1 x {GPU} for training job usage, of which 1 of 1 are in use or 1 x {CPU} for")
    assert (grant.held, grant.refused) == ({}, "")
    assert decide({"gpu_spot": 1}, gpu_training=0, cpu_training=0).waits.startswith(f"1 x {GPU} for spot training")
    assert decide({"cpu_processing": 4}).waits.startswith(f"1 x {CPU} for processing job usage")


def test_a_run_that_no_quota_allows_is_refused_with_the_request_for_more() -> None:
    grant = decide(gpu_spot=0, gpu_training=0, cpu_training=0)
    assert f"1 x {GPU} for training job usage is wanted, and the account's quota is 0" in grant.refused
    assert "request-service-quota-increase --service-code sagemaker --quota-code L-1 --desired-value 1" in grant.refused
    assert "console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/L-1" in grant.refused
    assert "processing job" in decide(cpu_processing=0).refused
    assert not decide(train={**ON_GPU, "hosts": 2}, gpu_spot=0, gpu_training=1, cpu_training=2).refused


def test_a_search_uses_as_many_machines_as_it_has_jobs_at_once() -> None:
    tune = {"jobs": 6, "parallel": 3, "ranges": {"learning_rate": {"min": 0.001, "max": 0.1}}}
    asked = wish(examples.request("acme", train={"instance": CPU, "hosts": 2, "spot": False}, tune=tune))
    assert asked.ways == {CPU: {quotas.name_of("training", CPU): 6}}


def test_a_cluster_of_several_types_uses_all_of_them_and_a_deployment_its_instances() -> None:
    train = {"groups": {GPU: 2, CPU: 1}, "spot": False}
    asked = wish(examples.request("acme", train=train, deploy={"target": "realtime", "instances": 3}))
    both = {quotas.name_of("training", GPU): 2, quotas.name_of("training", CPU): 1}
    assert asked.ways == {f"{GPU}+{CPU}": both}
    assert asked.later == {quotas.name_of("hosting", "ml.c5.large"): 3}


@pytest.fixture
def granted(world: World) -> Iterator[Any]:
    """Set quotas of the laptop's account; they are as they were afterwards."""
    changed: set[str] = set()

    def grant(**found: int) -> None:
        for quota in limits(**found).values():
            changed.add(quota.name)
            world.cloud.quotas.set(quota.name, quota.limit)

    yield grant
    for name in changed:
        world.cloud.quotas.set(name, None)


def run(world: World, name: str, *, hours: int = 1, resumed: bool = False, **sections: Any) -> dict[str, Any]:
    """Plan a run that began some hours ago and goes on, or was resumed just now."""
    execution, began = world.planning(name), datetime.now(UTC) - timedelta(hours=hours)
    row = {"run": name, "started": began.isoformat(), "status": Outcome.FAILED.value if resumed else RUNNING}
    table.put(ledger.run_key(name), row)
    assert not resumed or runs.resume(row, redrive=1, reserved_usd=0.0)
    given = {
        "run": examples.request(world.tenant, name, **{"train": ON_GPU, **RICH, **sections}).to_dict(),
        "dataset": examples.dataset().to_dict(),
        "prepared_in_job": False,
        **execution,
        "can_wait": True,
    }
    return plan.handler(json.loads(json.dumps(given)), None)


def test_of_racing_runs_as_many_go_on_as_there_are_machines(world: World, granted: Any) -> None:
    granted(gpu_training=5)
    train = {"instance": GPU, "spot": False}
    asked = {f"r-{number}": wish(examples.request(world.tenant, f"r-{number}", train=train)) for number in range(24)}
    for name in asked:
        table.put(ledger.run_key(name), {"status": RUNNING})
    with ThreadPoolExecutor(12) as pool:
        grants = dict(zip(asked, pool.map(machines.take, asked, asked.values()), strict=True))
    won = [name for name, grant in grants.items() if grant.held]
    assert len(won) == 5
    assert all(grants[name].waits for name in asked if name not in won)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(machines.release, won))
    assert table.get(ledger.MACHINES_KEY)["held"] == {}  # type: ignore[index]


def test_the_plan_leaves_out_what_the_account_may_not_have(world: World, granted: Any) -> None:
    granted(gpu_spot=0, gpu_training=0)
    answer = run(world, "r-1")
    assert answer["accepted"]
    assert (answer["train"]["spot"], answer["train"]["ladder"]) == (False, [CPU])
    assert answer["machines"] == {f"{CPU} for training job usage": 1, f"{CPU} for processing job usage": 1}


def test_without_any_quota_the_plan_is_refused_at_once_and_accepted_when_there_is_one(
    world: World, granted: Any
) -> None:
    train = {"instance": GPU, "spot": False, "max_minutes": 20}
    granted(gpu_training=0)
    answer = run(world, "r-1", train=train)
    assert (answer["accepted"], answer["outcome"]) == (False, Outcome.REFUSED.value)
    assert "the account's quota is 0" in answer["reasons"][0]
    granted(gpu_training=1)  # what the ledger remembers is a few minutes old
    assert run(world, "r-1", train=train)["accepted"]


def test_the_last_machine_is_waited_for_and_taken_over_when_its_run_is_settled(world: World, granted: Any) -> None:
    granted(gpu_training=1)
    train = {"instance": GPU, "spot": False, "max_minutes": 20}
    first, second = run(world, "r-1", train=train), run(world, "r-2", train=train)
    assert first["accepted"]
    assert (second["accepted"], second["outcome"]) == (False, None)
    assert second["waits"] == f"1 x {GPU} for training job usage, of which 1 of 1 are in use"
    assert world.document(examples.request(world.tenant, "r-2").prefix + keys.PLAN)["reasons"]
    late = run(world, "r-3", hours=25, train=train)
    assert (late["outcome"], late["waits"]) == (Outcome.REFUSED.value, "")
    assert not run(world, "r-2", train=train)["accepted"], "it may have ended: in the ledger it is RUNNING"
    table.put(ledger.run_key("r-1"), {"status": Outcome.FAILED.value})  # whoever settled it died before the release
    assert run(world, "r-2", train=train)["accepted"]


def test_a_run_that_was_resumed_waits_for_machines_as_long_as_one_that_began_then(world: World, granted: Any) -> None:
    granted(gpu_training=1)
    train = {"instance": GPU, "spot": False, "max_minutes": 20}
    assert run(world, "r-1", train=train)["accepted"]
    assert run(world, "r-2", hours=49, train=train)["outcome"] == Outcome.REFUSED.value
    resumed = run(world, "r-2", hours=49, resumed=True, train=train)
    assert (resumed["outcome"], resumed["waits"]) == (
        None,
        f"1 x {GPU} for training job usage, of which 1 of 1 are in use",
    )


def test_an_older_definition_goes_on_without_holding_machines(world: World, granted: Any) -> None:
    granted(gpu_training=0)
    given = {
        "run": examples.request(world.tenant, "r-1", train={"instance": GPU, "max_minutes": 20}, **RICH).to_dict(),
        "dataset": examples.dataset().to_dict(),
        "prepared_in_job": False,
        **world.planning("r-1"),
    }
    assert plan.handler(given, None)["accepted"]


def test_quotas_are_remembered_for_some_minutes(world: World, granted: Any) -> None:
    name = quotas.name_of("training", GPU)
    granted(gpu_training=3)
    assert account.of([name])[name].limit == 3
    granted(gpu_training=4)
    assert account.of([name])[name].limit == 3
    assert account.of([name], fresh=True)[name].limit == 4
    assert account.of(["ml.x9.large for training job usage"]) == {}


def test_a_run_that_goes_on_takes_the_same_machines_again_or_is_told_who_has_them(world: World, granted: Any) -> None:
    granted(gpu_training=1)
    train = {"instance": GPU, "spot": False, "max_minutes": 20}
    held = run(world, "r-1", train=train)["machines"]
    machines.release("r-1")
    assert machines.retake("r-1", held) == ""
    assert table.get(ledger.MACHINES_KEY)["held"] == {"r-1": held}  # type: ignore[index]
    machines.release("r-1")
    assert run(world, "r-2", train=train)["accepted"]
    assert machines.retake("r-1", held) == f"1 x {GPU} for training job usage, of which 1 of 1 are in use"
    assert machines.retake("r-1", {}) == ""  # it failed before it had a plan


def test_quotas_are_as_they_were_while_others_ask_too_much(world: World, granted: Any) -> None:
    name = quotas.name_of("training", GPU)
    client, refuse = shared.client("service-quotas"), Refuse()
    client.meta.events.register("before-call.service-quotas.ListServiceQuotas", refuse)
    try:
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            account.of([name])
        refuse.on = False
        granted(gpu_training=3)
        assert account.of([name])[name].limit == 3
        refuse.on = True
        assert account.of([name], fresh=True)[name].limit == 3
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            account.of([name, "ml.x9.large for endpoint usage"])  # one that nobody asked for yet is not taken for none
    finally:
        client.meta.events.unregister("before-call.service-quotas.ListServiceQuotas", refuse)


class Refuse:
    """Answers in the place of Service Quotas."""

    on = True

    def __call__(self, **_: Any) -> None:
        """Refuse the call as AWS does."""
        if self.on:
            told: Any = {"Error": {"Code": account.TOO_MANY, "Message": "Rate exceeded"}}
            raise ClientError(told, "ListServiceQuotas")
