"""The largest search that SageMaker makes is read with few calls, in a part of a function's time."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto.sagemaker.models import sagemaker_backends

from contract import ledger
from contract.parsing import to_dict
from contract.prices import load_prices
from functions import best, runs, searches, shared, table
from local.sagemaker.records import Record, arn_of, now
from local.sagemaker.tuning_record import Trained, TuningRecord
from tests.functions import examples
from tests.functions.conftest import World

MOST = 750
OBJECTIVE = {"Type": "Maximize", "MetricName": "validation_accuracy"}
BACKEND: Any = sagemaker_backends["123456789012"]["us-east-1"]


def search(name: str, *, spot: bool = False, ladder: bool = False, failing: bool = False) -> str:
    """Put a search of 750 training jobs, a minute each, that has ended into the laptop cloud; return its name."""
    machines = [{"InstanceType": kind, "InstanceCount": 1} for kind in ("ml.m5.xlarge", "ml.m5.2xlarge")]
    definition = {
        "StaticHyperParameters": {"recipe": "tabular"},
        "EnableManagedSpotTraining": spot,
        **({"HyperParameterTuningResourceConfig": {"InstanceConfigs": machines}} if ladder else {}),
        **({} if ladder else {"ResourceConfig": machines[0]}),
    }
    config = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": OBJECTIVE,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": MOST, "MaxParallelTrainingJobs": 10},
    }
    request = {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definition}
    found = TuningRecord(name=name, arn=arn_of(BACKEND, "hyper-parameter-tuning-job", name), request=request)
    found.update(HyperParameterTuningJobName=name, HyperParameterTuningJobStatus="Failed" if failing else "Completed")
    found.trained = [job(f"{name}-{number:03d}", number, spot=spot, failing=failing) for number in range(MOST)]
    BACKEND.hyper_parameter_tuning_jobs[name] = found
    BACKEND.training_jobs.update({each.record.name: each.record for each in found.trained})
    return name


def job(name: str, number: int, *, spot: bool, failing: bool) -> Trained:
    began = now()
    record = Record(
        name=name,
        arn=arn_of(BACKEND, "training-job", name),
        request={
            "TrainingJobName": name,
            "HyperParameters": {"recipe": "tabular", "epochs": "3", "learning_rate": f"0.{number:03d}1"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            "EnableManagedSpotTraining": spot,
        },
    )
    record.update(
        TrainingJobName=name,
        TrainingJobArn=record.arn,
        TrainingJobStatus="Stopped" if failing else "Completed",
        SecondaryStatus="MaxWaitTimeExceeded" if failing else "Completed",
        TrainingStartTime=began,
        TrainingEndTime=began + timedelta(seconds=60),
        TrainingTimeInSeconds=60,
        BillableTimeInSeconds=20 if spot else 60,
    )
    score = None if failing else number / MOST
    values = {"learning_rate": f"0.{number:03d}1"}
    return Trained(
        number=number, definition="", values=values, metric=OBJECTIVE, record=record, objective=score, ended=True
    )


@pytest.fixture
def calls(world: World) -> Iterator[collections.Counter[str]]:
    """Count the calls of SageMaker's API."""
    counted: collections.Counter[str] = collections.Counter()

    def count(model: Any, **_: Any) -> None:
        counted[model.name] += 1

    events = shared.client("sagemaker").meta.events
    events.register("before-call.sagemaker", count)
    yield counted
    for name in [name for name in BACKEND.training_jobs if name.startswith(world.tenant)]:
        del BACKEND.training_jobs[name]


READ = {"DescribeHyperParameterTuningJob": 1, "ListTrainingJobsForHyperParameterTuningJob": 8}


def test_of_a_search_on_demand_the_list_tells_everything(world: World, calls: collections.Counter[str]) -> None:
    found = searches.priced(searches.read(search(f"{world.tenant}-tune-0-1-0")))
    assert calls == {**READ, "DescribeTrainingJob": 1}
    board = searches.board(found)
    assert (board.best, len(board.trials), board.note) == (f"{world.tenant}-tune-0-1-0-749", MOST, "")
    assert board.trials[0].values == {"learning_rate": "0.7491"}
    assert {(trial.recipe, trial.seconds) for trial in board.trials} == {("tabular", 60)}
    hourly = load_prices().training["ml.m5.xlarge"]
    assert searches.bill(found).usd == pytest.approx(MOST * hourly / 60, rel=1e-3)


@pytest.mark.parametrize("kind", ["spot", "ladder"])
def test_of_a_search_on_other_machines_only_the_best_are_asked_for_their_price(
    world: World, calls: collections.Counter[str], kind: str
) -> None:
    found = searches.priced(searches.read(search(f"{world.tenant}-tune-0-0-0", **{kind: True})))
    assert calls == {**READ, "DescribeTrainingJob": searches.MOST_DESCRIBED}
    rest = MOST - searches.MOST_DESCRIBED
    seconds = searches.MOST_DESCRIBED * (20 if kind == "spot" else 60) + rest * 60
    assert searches.bill(found).billable_seconds == seconds
    assert (f"the cost of {rest} of its jobs" in searches.board(found).note) == (kind == "spot")


def test_a_search_without_a_model_asks_some_of_its_jobs_why(world: World, calls: collections.Counter[str]) -> None:
    found = searches.read(search(f"{world.tenant}-tune-0-0-0", spot=True, failing=True))
    assert searches.why_none(found) == "MaxWaitTimeExceeded"
    assert calls == {**READ, "DescribeTrainingJob": searches.MOST_REASONS}


def test_a_search_whose_gpus_did_nothing_says_so(world: World, calls: collections.Counter[str]) -> None:
    request = to_dict(examples.request())
    name = search(f"{world.tenant}-tune-0-0-0", failing=True)
    event = {"run": request, "dataset": {}, "plan": {}, "tuning_job": name, "failure": ""}
    table.put(ledger.run_key(request["run"]), {"run": request["run"]})
    runs.note_idle(request["run"], "another-tune-0-0-0-001", "not of this search")
    assert best.handler(event, None)["failure"] == "MaxWaitTimeExceeded"
    runs.note_idle(request["run"], f"{name}-749", "its GPUs did nothing")
    answer = best.handler(event, None)
    assert (answer["training"], answer["failure"]) == (None, "its GPUs did nothing\nMaxWaitTimeExceeded")
