"""Plan compute: what the run may cost at worst, what it will probably cost, and what cannot be combined."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import attempts, keys, ledger
from contract.prices import load_prices
from contract.run import Outcome
from functions import expected, plan, table
from tests import definitions
from tests.functions import examples
from tests.functions.conftest import World

HOURLY = load_prices()


def make(world: World, rows: int = 1437, *, prepared_in_job: bool = False, **sections: Any) -> dict[str, Any]:
    given = {
        "run": examples.request(world.tenant, **sections).to_dict(),
        "dataset": examples.dataset(rows=rows).to_dict(),
        "prepared_in_job": prepared_in_job,
        **world.planning(),
    }
    return plan.handler(json.loads(json.dumps(given)), None)


def test_the_worst_case_counts_every_paid_state_as_often_as_it_may_run(world: World) -> None:
    answer = make(
        world,
        train={
            "instance": "ml.m5.xlarge",
            "fallback_instances": ["ml.m5.2xlarge", "ml.m5.large"],
            "hosts": 2,
            "max_minutes": 58,
            "spot": True,
        },
        evaluate={"instance": "ml.m5.large", "max_minutes": 30},
    )
    assert answer["accepted"], answer["reasons"]
    lines = {line["state"]: line for line in answer["worst_case"]["lines"]}
    assert set(lines) == {definitions.TRAIN_ON_SPOT, definitions.TRAIN_ON_DEMAND, definitions.EVALUATE}
    assert lines[definitions.TRAIN_ON_SPOT]["usd"] == pytest.approx(2 * HOURLY.training["ml.m5.xlarge"], abs=1e-4)
    assert lines[definitions.TRAIN_ON_DEMAND]["instance"] == "ml.m5.2xlarge"
    assert lines[definitions.TRAIN_ON_DEMAND]["usd"] == pytest.approx(2 * HOURLY.training["ml.m5.2xlarge"], abs=1e-4)
    times = attempts.EVALUATIONS
    assert lines[definitions.EVALUATE]["usd"] == pytest.approx(times * HOURLY.processing["ml.m5.large"] / 2, abs=1e-4)
    assert answer["worst_case"]["usd"] == pytest.approx(sum(line["usd"] for line in lines.values()))


def test_machines_are_as_asked(world: World) -> None:
    train = {"instance": "ml.m5.xlarge", "fallback_instances": ["ml.m5.2xlarge", "ml.m5.xlarge"], "max_minutes": 20}
    answer = make(world, train=train | {"spot_wait_minutes": 10})
    assert answer["train"] == {
        "instance": "ml.m5.xlarge",
        "ladder": ["ml.m5.xlarge", "ml.m5.2xlarge"],
        "groups": [],
        "hosts": 1,
        "spot": True,
        "start": "",
        "volume_gb": 30,
        "max_runtime_seconds": 1200,
        "max_wait_seconds": 1800,
    }
    assert answer["evaluate"] == {"instance": "ml.m5.xlarge", "volume_gb": 30, "max_runtime_seconds": 1800}
    assert world.document(examples.request(world.tenant).prefix + keys.PLAN) == answer


def test_training_begins_with_the_champion_where_that_is_asked_and_there_is_one(world: World) -> None:
    assert make(world, train={"start": "champion"})["train"]["start"] == ""
    uri = "s3://artifacts/acme/digits/runs/r/evaluate/model.tar.gz"
    request = examples.request(world.tenant)
    table.put(ledger.champion_key(request.tenant, request.project), {"model_uri": uri})
    assert make(world, train={"start": "champion"})["train"]["start"] == uri
    assert make(world)["train"]["start"] == ""


def test_a_cluster_of_several_types_is_asked_for_and_paid_by_its_groups(world: World) -> None:
    answer = make(world, train={"groups": {"ml.m5.xlarge": 2, "ml.c5.xlarge": 1}, "max_minutes": 58, "spot": True})
    assert answer["accepted"], answer["reasons"]
    assert answer["train"]["groups"] == [
        {"InstanceGroupName": "ml.m5.xlarge", "InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
        {"InstanceGroupName": "ml.c5.xlarge", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
    ]
    assert (answer["train"]["instance"], answer["train"]["hosts"]) == ("ml.m5.xlarge", 3)
    trained = [line for line in answer["worst_case"]["lines"] if line["state"] != definitions.EVALUATE]
    hour = 2 * HOURLY.training["ml.m5.xlarge"] + HOURLY.training["ml.c5.xlarge"]
    assert sum(line["usd"] for line in trained) == pytest.approx(2 * hour, abs=1e-3)  # on spot, then on demand


@pytest.mark.parametrize("prepared_in_job", [False, True])
def test_no_max_minutes_is_as_long_as_the_budget_pays_for(prepared_in_job: bool, world: World) -> None:
    train = {"instance": "ml.m5.xlarge", "max_minutes": 0, "hosts": 2}
    answer = make(world, prepared_in_job=prepared_in_job, train=train, budget={"max_usd_per_run": 5.0})
    assert answer["accepted"], answer["reasons"]
    seconds = answer["train"]["max_runtime_seconds"]
    a_minute_more = 2 * 2 * HOURLY.training["ml.m5.xlarge"] / 60  # two hosts, on spot and on demand
    assert 5.0 - a_minute_more < answer["worst_case"]["usd"] <= 5.0
    assert seconds % 60 == 0
    assert answer["train"]["max_wait_seconds"] > seconds


def test_no_max_minutes_is_never_longer_than_an_account_may_train(world: World) -> None:
    train = {"instance": "ml.m5.large", "max_minutes": 0}
    answer = make(world, train=train, budget={"max_usd_per_run": 1_000.0})
    assert answer["train"]["max_runtime_seconds"] == 5 * 86_400


def test_a_budget_that_pays_for_no_minute_is_refused(world: World) -> None:
    train = {"instance": "ml.m5.xlarge", "max_minutes": 0}
    answer = make(world, train=train, budget={"max_usd_per_run": 0.01})
    assert not answer["accepted"]
    assert "for 3 min" in answer["reasons"][0]  # one minute, and two to stop


def test_without_spot_only_on_demand_is_counted(world: World) -> None:
    answer = make(world, train={"instance": "ml.m5.xlarge", "spot": False})
    assert definitions.TRAIN_ON_SPOT not in [line["state"] for line in answer["worst_case"]["lines"]]


def test_a_dataset_that_a_job_prepared_pays_for_that_however_small_its_upload(world: World) -> None:
    answer = make(world, prepared_in_job=True, train={"instance": "ml.m5.xlarge"})
    (line,) = [line for line in answer["worst_case"]["lines"] if line["state"] == definitions.PREPARE]
    assert line["usd"] == pytest.approx(HOURLY.processing["ml.m5.xlarge"], abs=1e-4)


def test_a_script_measures_itself_so_no_evaluation_is_paid(world: World) -> None:
    script = {"name": "script", "metric": "acc", "regex": "acc=([0-9.]+)"}
    answer = make(world, recipe=script, train={"instance": "ml.m5.xlarge"})
    assert answer["accepted"], answer["reasons"]
    states = [line["state"] for line in answer["worst_case"]["lines"]]
    assert states == [definitions.TRAIN_ON_SPOT, definitions.TRAIN_ON_DEMAND]


def test_every_machine_that_prepares_is_paid(world: World) -> None:
    prepare = {"engine": "spark", "isolation": "off", "hosts": 3, "target": "y"}
    answer = make(world, prepared_in_job=True, recipe="tabular", prepare=prepare)
    (line,) = [line for line in answer["worst_case"]["lines"] if line["state"] == definitions.PREPARE]
    assert line["hosts"] == 3
    assert line["usd"] == pytest.approx(3 * HOURLY.processing["ml.m5.xlarge"], abs=1e-4)


def test_a_dataset_gets_a_disk_it_fits_on(world: World) -> None:
    given = examples.dataset().to_dict() | {"bytes": 100 * 10**9}
    request = examples.request(world.tenant, train={"instance": "ml.m5.xlarge"})
    answer = plan.handler(
        {"run": request.to_dict(), "dataset": given, "prepared_in_job": False, **world.planning()}, None
    )
    assert answer["train"]["volume_gb"] == answer["evaluate"]["volume_gb"] == 160


def test_a_worst_case_over_the_budget_is_refused_with_the_sum(world: World) -> None:
    answer = make(world, train={"instance": "ml.m5.xlarge"}, budget={"max_usd_per_run": 0.05})
    assert not answer["accepted"]
    assert answer["outcome"] == Outcome.REFUSED
    (reason,) = answer["reasons"]
    assert f"${answer['worst_case']['usd']:.2f}" in reason
    assert "0.05" in reason
    assert definitions.TRAIN_ON_DEMAND in reason


def test_a_budget_that_just_covers_the_worst_case_is_enough(world: World) -> None:
    train = {"instance": "ml.m5.xlarge"}
    usd = make(world, train=train)["worst_case"]["usd"]
    assert make(world, train=train, budget={"max_usd_per_run": usd})["accepted"]
    assert not make(world, train=train, budget={"max_usd_per_run": usd - 0.0002})["accepted"]


def test_the_first_estimate_uses_the_recipes_throughput_then_the_projects_own(world: World) -> None:
    train = {"instance": "ml.m5.xlarge", "epochs": 10}
    first = make(world, train=train)
    assert "measured for recipe 'image'" in first["expected"]["basis"]
    key = ledger.throughput_key(world.tenant, "digits", "image", "ml.m5.xlarge", 1)
    table.put(key, {"samples_per_second": 14.37, "run": "digits-old", "measured": "2026-11-20T00:00:00Z"})
    then = make(world, train=train)
    assert "digits-old" in then["expected"]["basis"]
    assert then["expected"]["seconds"] == pytest.approx(1000 + 359 / 14.37 + 2 * expected.STARTUP_SECONDS, abs=0.1)
    assert then["expected"]["usd"] > first["expected"]["usd"]
    smaller = make(world, train=train, optimise={"prune": 0.5, "prune_epochs": 3, "distil": 0.5})
    assert smaller["expected"]["seconds"] == pytest.approx(then["expected"]["seconds"] + 13 * 1437 / 14.37, abs=0.1)


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"train": {"instance": "ml.m5.xlrage"}}, ["train.instance", "Did you mean 'ml.m5.xlarge'?"]),
        (
            {"train": {"instance": "ml.m5.large", "fallback_instances": ["ml.x9.large"]}},
            ["train.fallback_instances[0]"],
        ),
        ({"evaluate": {"instance": "ml.m9.large"}}, ["evaluate.instance"]),
        ({"deploy": {"target": "realtime", "instance": "ml.m9.large"}}, ["deploy.instance"]),
        ({"prepare": {"instance": "ml.m9.large"}, "prepared_in_job": True}, ["prepare.instance"]),
        ({"train": {"instance": "ml.m5.large", "precision": "bf16"}}, ["train.precision", "fp32"]),
        ({"train": {"instance": "ml.g4dn.xlarge", "precision": "bf16"}}, ["train.precision", "ml.g4dn.xlarge"]),
        ({"deploy": {"instance": "ml.g5.xlarge"}}, ["deploy.instance", "no GPU"]),
        ({"deploy": {"instance": "ml.g5.xlarge", "target": "realtime"}}, ["deploy.instance", "CPUs"]),
        ({"train": {"instance": "ml.m5.large", "hosts": 4, "batch_size": 2}}, ["train.batch_size", "at least 4"]),
        ({"train": {"groups": {"ml.m5.large": 1, "ml.g5.xlarge": 1}}}, ["train.groups", "all have GPUs, or none"]),
        ({"train": {"groups": {"ml.m5.large": 1, "ml.x9.large": 1}}}, ["train.groups.ml.x9.large"]),
        ({"train": {"groups": {"ml.m5.large": 3, "ml.c5.large": 1}, "batch_size": 2}}, ["at least 4"]),
        (
            {"tune": {"jobs": 3}, "train": {"instance": "ml.g5.xlarge", "fallback_instances": ["ml.m5.xlarge"]}},
            ["train.fallback_instances", "nothing together with tuning on ml.g5.xlarge"],
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(world: World, sections: dict[str, Any], says: list[str]) -> None:
    answer = make(world, **sections)
    assert answer["outcome"] == Outcome.REFUSED
    for phrase in says:
        assert phrase in " ".join(answer["reasons"])
    assert answer["train"] is None


def test_a_search_may_choose_among_the_types_that_tuning_jobs_have_a_ladder_of(world: World) -> None:
    train = {"instance": "ml.m5.xlarge", "fallback_instances": ["ml.m5.2xlarge"], "max_minutes": 5}
    answer = make(world, tune={"jobs": 2}, train=train)
    assert answer["accepted"], answer["reasons"]


def test_every_mistake_is_told_at_once(world: World) -> None:
    answer = make(world, train={"instance": "ml.m5.tiny", "precision": "bf16"}, evaluate={"instance": "ml.m5.tiny"})
    assert len(answer["reasons"]) == 3


def test_more_hosts_than_rows_are_refused(world: World) -> None:
    answer = make(world, rows=3, train={"instance": "ml.m5.large", "hosts": 4})
    assert "train.hosts" in " ".join(answer["reasons"])
