"""Searches in the handlers: what SageMaker is asked, what it may cost, where it begins, and which model wins."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract import attempts, ledger
from contract.leaderboard import Trial, best, ranked
from contract.prices import load_prices
from contract.request import RunRequest, Upload, build_request
from contract.run import Outcome
from functions import best as best_handler
from functions import plan, searches, table, tuning
from local.sagemaker import tuning_rules
from tests.functions import examples
from tests.functions.conftest import World
from training.config import TrainConfig

RANGES = {
    "learning_rate": {"min": 1e-4, "max": 1e-1, "scale": "log"},
    "batch_size": {"choices": [16, 32]},
    "options": {"width": {"min": 8, "max": 64}},
}
CHEAP = {"instance": "ml.m5.xlarge", "max_minutes": 58, "spot": False}


def request(tenant: str = "acme", *, train: dict[str, Any] | None = None, **tune: Any) -> RunRequest:
    return examples.request(tenant, tune={"jobs": 4, "parallel": 2, "ranges": RANGES, **tune}, train=train or CHEAP)


def auto(suffix: str = ".csv", **sections: Any) -> RunRequest:
    upload = Upload(bucket="data", key=f"acme/t/inbox/a{suffix}", version_id="v", bytes=1, files=1)
    toml = {"recipe": "auto", "prepare": {"target": "y"}, "train": CHEAP, **sections}
    return build_request(run="t-1", console={"tenant": "acme", "project": "t"}, project_toml=toml, upload=upload)


def make(world: World, given: RunRequest, **dataset: Any) -> dict[str, Any]:
    report = examples.dataset().to_dict() | dataset
    event = {"run": given.to_dict(), "dataset": report, "prepared_in_job": False, **world.planning(given.run)}
    return plan.handler(json.loads(json.dumps(event)), None)


def test_a_plan_without_a_search_says_so(world: World) -> None:
    assert make(world, examples.request(world.tenant, train=CHEAP))["tune"] is None


def test_what_is_asked_is_in_sagemakers_words(world: World) -> None:
    planned = make(world, request(world.tenant))["tune"]
    assert planned["state"] == attempts.TUNE
    config = planned["config"]
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "validation_accuracy"}
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2}
    rate = {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    width = {"Name": "options.width", "MinValue": "8", "MaxValue": "64", "ScalingType": "Linear"}
    assert config["ParameterRanges"]["ContinuousParameterRanges"] == [rate]
    assert config["ParameterRanges"]["IntegerParameterRanges"] == [width]
    assert config["ParameterRanges"]["CategoricalParameterRanges"] == [{"Name": "batch_size", "Values": ["16", "32"]}]


def test_what_is_not_searched_reaches_training_as_the_same_settings(world: World) -> None:
    given = request(world.tenant)
    (definition,) = make(world, given)["tune"]["definitions"]
    told = definition["hyperparameters"]
    assert not set(told) & {"learning_rate", "batch_size", "options.width"}
    assert all(isinstance(value, str) for value in told.values())
    chosen = {"learning_rate": "0.003", "batch_size": "16", "options.width": "24", "_tuning_objective_metric": "x"}
    config = TrainConfig.from_hyperparameters({**told, **chosen, "sagemaker_program": "tandem_train.py"})
    assert (config.recipe, config.learning_rate, config.batch_size) == ("image", 0.003, 16)
    assert config.options == {**given.candidates[0].options, "width": 24}
    assert config.instance == "ml.m5.xlarge"


@pytest.mark.parametrize("strategy", ["bayesian", "random", "hyperband"])
def test_every_strategy_is_one_that_sagemaker_takes(world: World, strategy: str) -> None:
    planned = make(world, request(world.tenant, strategy=strategy, max_minutes=30))["tune"]
    _take(planned)
    assert planned["config"]["ResourceLimits"]["MaxRuntimeInSeconds"] == 1800


def test_a_grid_is_one_that_sagemaker_takes(world: World) -> None:
    ranges = {"batch_size": {"choices": [16, 32]}, "options": {"width": {"choices": [8, 16]}}}
    _take(make(world, request(world.tenant, strategy="grid", ranges=ranges))["tune"])


def test_recipes_have_an_objective_and_ranges_each(world: World) -> None:
    planned = make(world, auto())["tune"]
    assert planned["state"] == attempts.TUNE_RECIPES
    assert "ParameterRanges" not in planned["config"]
    assert "HyperParameterTuningJobObjective" not in planned["config"]
    assert {definition["recipe"] for definition in planned["definitions"]} == {"tabular", "linear"}
    _take(planned)


def test_only_recipes_that_learn_what_the_dataset_is_about_are_tried(world: World) -> None:
    images = auto(".zip", prepare={})
    assert {each["recipe"] for each in make(world, images)["tune"]["definitions"]} == {"image"}
    refused = make(world, images, task="regression", metric="rmse")
    assert refused["outcome"] == Outcome.REFUSED
    assert "a recipe for regression" in refused["reasons"][0]


def _take(planned: dict[str, Any]) -> None:
    """Let the laptop's SageMaker look at a whole request made of the plan."""
    frame = {
        "AlgorithmSpecification": {
            "TrainingImage": "i", "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "validation_accuracy", "Regex": "validation_accuracy=([0-9.]+)"}],
        },
        "RoleArn": "arn:aws:iam::123456789012:role/r", "OutputDataConfig": {"S3OutputPath": "s3://bucket/x"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }  # fmt: skip
    several = len(planned["definitions"]) > 1
    made = [
        {
            **frame,
            "StaticHyperParameters": each["hyperparameters"],
            **(
                {"DefinitionName": each["name"], "TuningObjective": each["objective"],
                 "HyperParameterRanges": each["ranges"]} if several else {}
            ),
        }
        for each in planned["definitions"]
    ]  # fmt: skip
    definitions = {"TrainingJobDefinitions": made} if several else {"TrainingJobDefinition": made[0]}
    tuning_rules.check(
        {
            "HyperParameterTuningJobName": "t-tune-0-1-0",
            "HyperParameterTuningJobConfig": planned["config"],
            **definitions,
        }
    )


def test_the_worst_case_is_every_job_at_its_longest(world: World) -> None:
    (line,) = [
        each for each in make(world, request(world.tenant))["worst_case"]["lines"] if each["state"] == attempts.TUNE
    ]
    assert (line["attempts"], line["seconds"]) == (4, 3600)
    assert line["usd"] == pytest.approx(4 * load_prices().training["ml.m5.xlarge"], abs=1e-3)


def test_on_spot_the_whole_search_may_come_again_on_demand(world: World) -> None:
    (line,) = [
        each
        for each in make(world, request(world.tenant, train={**CHEAP, "spot": True}))["worst_case"]["lines"]
        if each["state"] == attempts.TUNE
    ]
    assert line["attempts"] == 8


def test_a_limit_of_the_whole_search_bounds_its_cost(world: World) -> None:
    (line,) = [
        each
        for each in make(world, request(world.tenant, max_minutes=28))["worst_case"]["lines"]
        if each["state"] == attempts.TUNE
    ]
    assert line["seconds"] * line["attempts"] == 2 * 30 * 60  # two at once, half an hour with the time to stop


def test_too_dear_a_search_is_refused_with_the_number_of_jobs_that_fit(world: World) -> None:
    alone = make(world, request(world.tenant))["worst_case"]
    fixed = sum(line["usd"] for line in alone["lines"] if line["state"] != attempts.TUNE)
    each = (alone["usd"] - fixed) / 4
    given = examples.request(
        world.tenant, tune={"jobs": 40, "ranges": RANGES}, train=CHEAP, budget={"max_usd_per_run": fixed + 3.5 * each}
    )
    answer = make(world, given)
    assert answer["outcome"] == Outcome.REFUSED
    assert "tune.jobs = 3," in answer["reasons"][0]
    fits = examples.request(
        world.tenant, tune={"jobs": 3, "ranges": RANGES}, train=CHEAP, budget={"max_usd_per_run": fixed + 3.5 * each}
    )
    assert make(world, fits)["accepted"]


def test_jobs_side_by_side_take_less_time_for_the_same_price(world: World) -> None:
    one, two = (make(world, request(world.tenant, parallel=number))["expected"] for number in (1, 2))
    assert one["usd"] == two["usd"]
    assert one["seconds"] > 1.5 * two["seconds"]


def test_a_batch_that_would_not_fill_the_hosts_is_refused(world: World) -> None:
    answer = make(world, request(world.tenant, train={**CHEAP, "hosts": 20}))
    assert "train.batch_size: 16 is not allowed" in " ".join(answer["reasons"])


def _finish(world: World, given: RunRequest, **dataset: Any) -> None:
    """Remember a search as the handler of the best model does."""
    report = examples.dataset().to_dict() | dataset
    tuning.remember(given, report, make(world, given)["tune"], "earlier-tune-0-1-0", 4)


def test_a_first_search_says_that_it_has_nothing_to_begin_with(world: World) -> None:
    planned = make(world, request(world.tenant, warm_start=True))["tune"]
    assert planned["state"] == attempts.TUNE
    assert "no search of this project has finished" in planned["note"]


def test_a_later_search_begins_with_the_earlier_one(world: World) -> None:
    _finish(world, request(world.tenant))
    planned = make(world, request(world.tenant, warm_start=True))["tune"]
    assert planned["state"] == attempts.TUNE_AGAIN
    parents = [{"HyperParameterTuningJobName": "earlier-tune-0-1-0"}]
    assert planned["warm_start"] == {"ParentHyperParameterTuningJobs": parents, "WarmStartType": "TransferLearning"}
    assert "the same rows" in planned["note"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": "tabular"}, "its recipe was 'tabular'"),
        ({"metric": "rmse"}, "its metric was 'rmse'"),
        ({"jobs": 748}, "more than 750"),
        ({"hyperparameters": {"recipe": "image"}}, "other hyperparameters"),
    ],
)
def test_a_search_that_cannot_follow_begins_afresh_and_says_why(
    world: World, change: dict[str, Any], says: str
) -> None:
    _finish(world, request(world.tenant))
    key = ledger.tuning_key(world.tenant, "digits")
    row = table.get(key)
    assert row
    table.put(key, {**row, **change})
    planned = make(world, request(world.tenant, warm_start=True))["tune"]
    assert planned["warm_start"] is None
    assert says in planned["note"]


def test_settings_that_changed_much_begin_afresh(world: World) -> None:
    _finish(world, request(world.tenant))
    train = {**CHEAP, "epochs": 3, "seed": 9, "weight_decay": 0.5, "clip_norm": 2.0, "max_minutes": 7}
    assert "have changed since" in make(world, request(world.tenant, train=train, warm_start=True))["tune"]["note"]


def test_a_setting_that_was_searched_and_is_not_any_more_is_one_change(world: World) -> None:
    _finish(world, request(world.tenant))
    train: dict[str, Any] = {**CHEAP, "epochs": 3, "seed": 9, "weight_decay": 0.5, "clip_norm": 2.0}  # two changes each
    assert make(world, request(world.tenant, train=train, warm_start=True))["tune"]["warm_start"]
    fewer = {name: found for name, found in RANGES.items() if name != "learning_rate"}
    planned = make(world, request(world.tenant, train=train, warm_start=True, ranges=fewer))["tune"]
    assert "have changed since" in planned["note"]


def test_the_search_among_recipes_is_no_beginning_for_another(world: World) -> None:
    given = auto()
    tuning.remember(given, examples.dataset().to_dict(), make(world, given)["tune"], "t-tune-0-1-0", 4)
    assert table.get(ledger.tuning_key("acme", "t")) is None


def _trial(job: str, score: float | None, status: str = "Completed", failure: str = "") -> Trial:
    return Trial(job=job, recipe="image", candidate="image", values={}, status=status, score=score, failure=failure)


def test_the_best_is_the_best_that_completed() -> None:
    trials = [_trial("a", 0.5), _trial("b", 0.9, "Stopped"), _trial("c", None, "Failed"), _trial("d", 0.7)]
    assert [trial.job for trial in ranked(trials, higher_is_better=True)] == ["b", "d", "a", "c"]
    assert [trial.job for trial in ranked(trials, higher_is_better=False)] == ["a", "d", "b", "c"]
    found = best(trials, higher_is_better=True)
    assert found
    assert found.job == "d"
    assert best([_trial("c", None, "Failed")], higher_is_better=True) is None


START = datetime(2026, 11, 21, tzinfo=UTC)


def _search(*jobs: tuple[str, str, float | None, str]) -> searches.Search:
    """A tuning job and its training jobs as SageMaker describes them: name, status, score, reason."""
    objective = {"Type": "Minimize", "MetricName": "validation_rmse"}
    summaries: list[dict[str, Any]] = []
    trained: dict[str, dict[str, Any]] = {}
    for name, status, score, reason in jobs:
        final = {**objective, "Value": score}
        shown = {} if score is None else {"FinalHyperParameterTuningJobObjectiveMetric": final}
        summaries.append({"TrainingJobName": name, "TunedHyperParameters": {"learning_rate": "0.01"}, **shown})
        trained[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": status,
            "SecondaryStatus": "MaxWaitTimeExceeded" if status == "Stopped" else status,
            "HyperParameters": {"recipe": "linear"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
            "BillableTimeInSeconds": 1800,
            "CreationTime": START + timedelta(seconds=len(trained)),
            **({"FailureReason": reason} if reason else {}),
        }
    config = {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": objective,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 1},
    }
    described = {
        "HyperParameterTuningJobName": "t-tune-0-1-0",
        "HyperParameterTuningJobStatus": "Completed",
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": {},
    }
    return searches.Search(tuning=described, summaries=summaries, trained=trained, described=frozenset(trained))


def test_a_leaderboard_has_every_job_with_its_price_the_best_first() -> None:
    found = _search(
        ("a", "Completed", 3.0, ""), ("b", "Failed", None, "AlgorithmError: x"), ("c", "Completed", 2.0, "")
    )
    board = searches.board(found, note="warm")
    assert [trial.job for trial in board.trials] == ["c", "a", "b"]
    assert (board.best, board.metric, board.strategy, board.jobs, board.note) == ("c", "rmse", "bayesian", 9, "warm")
    hourly = load_prices().training["ml.m5.xlarge"]
    assert board.trials[0].usd == pytest.approx(hourly)
    bill = searches.bill(found)
    assert bill.usd == pytest.approx(3 * hourly)
    assert (bill.kind, bill.billable_seconds, bill.hosts) == ("tuning", 5400, 2)


def test_a_search_without_a_model_tells_its_jobs_own_reasons_each_once() -> None:
    same = "AlgorithmError: ValueError: bad"
    found = _search(("a", "Failed", None, same), ("b", "Failed", None, same), ("c", "Stopped", None, ""))
    assert searches.why_none(found) == f"{same}\nMaxWaitTimeExceeded"
    assert "none was started" in searches.why_none(_search())


def test_the_winners_settings_become_the_runs() -> None:
    run = json.loads(json.dumps(auto().to_dict()))
    told = {
        "recipe": "linear", "epochs": "7", "learning_rate": "0.25", "shares": "[]", "optimiser": "sgd",
        "options.task": "auto", "options.max_vocabulary": "50", "options.buckets": "8", "spot": "false",
        "sagemaker_program": "tandem_train.py", "_tuning_objective_metric": "validation_accuracy",
    }  # fmt: skip
    after = RunRequest.from_dict(best_handler.with_winner(run, told))
    assert (after.recipe.name, after.recipe.auto) == ("linear", True)
    assert after.recipe.options == {"task": "auto", "max_vocabulary": 50, "buckets": 8}
    assert (after.train.epochs, after.train.learning_rate, after.train.optimiser) == (7, 0.25, "sgd")


def test_a_tuning_job_that_was_never_created_keeps_the_refusal() -> None:
    event: dict[str, Any] = {"run": {}, "dataset": {}, "plan": {}, "tuning_job": None, "failure": "Rate exceeded"}
    assert best_handler.handler(event, None) == {"run": {}, "training": None, "failure": "Rate exceeded"}
