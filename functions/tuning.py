"""Plan compute's part of a search: what the tuning job asks SageMaker for, and from which earlier one it begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contract import attempts, ledger
from contract.errors import InvalidConfig
from contract.metrics import METRICS
from contract.parsing import to_dict
from contract.recipes import load_recipes
from contract.reports import DatasetReport
from contract.request import RunRequest
from contract.tuning import CATEGORICAL, CONTINUOUS, INTEGER, MAX_JOBS, OPTIONS, Candidate, Range, text
from functions import table

STRATEGIES = {"bayesian": "Bayesian", "random": "Random", "grid": "Grid", "hyperband": "Hyperband"}
SCALES = {"linear": "Linear", "log": "Logarithmic", "reverse_log": "ReverseLogarithmic"}
LARGEST_SEED = 2**31
MAX_CHANGES = 10 - 2
"""Changes of static hyperparameters that a warm start may have, without the code's own address."""


def candidates(request: RunRequest, dataset: DatasetReport) -> tuple[Candidate, ...]:
    """Return the candidates that learn what the dataset is about.

    Raises:
        InvalidConfig: when none does.
    """
    if not request.recipe.auto:
        return request.candidates
    known = load_recipes()
    fitting = [each for each in request.candidates if known[each.recipe].metric.get(dataset.task) == dataset.metric]
    if not fitting:
        tried = ", ".join(each.name for each in request.candidates)
        allowed = f"a recipe for {dataset.task}, compared by {dataset.metric}"
        raise InvalidConfig("recipe.name", "auto", allowed, f"None of {tried} is one.")
    return tuple(fitting)


def settings(request: RunRequest, candidate: Candidate) -> dict[str, Any]:
    """Return [train] as a candidate has it, as far as no range varies it."""
    train = {**to_dict(request.train), **candidate.train}
    return {name: value for name, value in train.items() if name not in candidate.ranges}


def tune_part(request: RunRequest, dataset: DatasetReport) -> dict[str, Any] | None:
    """Return what the tuning states ask SageMaker for; None when nothing is searched."""
    if not request.candidates:
        return None
    definitions = [_definition(request, candidate, dataset) for candidate in candidates(request, dataset)]
    config = _config(request, candidates(request, dataset))
    if len(definitions) == 1:  # SageMaker has the objective and the ranges of a single definition here
        objective, ranges = definitions[0]["objective"], definitions[0]["ranges"]
        config |= {"HyperParameterTuningJobObjective": objective, "ParameterRanges": ranges}
    parent, note = warm_start(request, dataset, definitions)
    return {
        "state": _state(definitions, parent),
        "jobs": request.tune.jobs,
        "parallel": request.tune.parallel,
        "strategy": request.tune.strategy,
        "metric": dataset.metric,
        "spot": request.train.spot,
        "longest_seconds": longest_seconds(request),
        "config": config,
        "definitions": definitions,
        "warm_start": parent,
        "note": note,
    }


def _state(definitions: Sequence[Any], parent: Mapping[str, Any] | None) -> str:
    """Return the state that makes this tuning job: each has the arguments that such a one takes."""
    if len(definitions) > 1:
        return attempts.TUNE_RECIPES
    return attempts.TUNE_AGAIN if parent else attempts.TUNE


def longest_seconds(request: RunRequest) -> int:
    """Return how long the tuning job may take, start-up of machines not counted."""
    tune, train = request.tune, request.train
    each = train.max_minutes + (train.spot_wait_minutes if train.spot else 0)
    return 60 * (tune.max_minutes or math.ceil(tune.jobs / tune.parallel) * each)


def _config(request: RunRequest, tried: Sequence[Candidate]) -> dict[str, Any]:
    """Return HyperParameterTuningJobConfig, without what belongs to a definition."""
    tune = request.tune
    limits = {"MaxNumberOfTrainingJobs": tune.jobs, "MaxParallelTrainingJobs": tune.parallel}
    if tune.max_minutes:
        limits["MaxRuntimeInSeconds"] = tune.max_minutes * 60
    config: dict[str, Any] = {
        "Strategy": STRATEGIES[tune.strategy],
        "ResourceLimits": limits,
        "TrainingJobEarlyStoppingType": "Auto" if tune.early_stopping else "Off",
        "RandomSeed": request.train.seed % LARGEST_SEED,
    }
    if tune.strategy == "hyperband":
        # SageMaker stops a job that reaches MaxResource values: no job gets there with its epochs and its last word
        # (training.tuned), so each ends by itself, with its model.
        most = settings(request, tried[0])["epochs"] + 2
        config["StrategyConfig"] = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": most}}
    return config


def _definition(request: RunRequest, candidate: Candidate, dataset: DatasetReport) -> dict[str, Any]:
    way = "Maximize" if METRICS[dataset.metric].higher_is_better else "Minimize"
    values = {
        "recipe": candidate.recipe,
        **settings(request, candidate),
        **{OPTIONS + name: value for name, value in candidate.options.items()},
    }
    return {
        "name": candidate.name,
        "recipe": candidate.recipe,
        "objective": {"Type": way, "MetricName": f"validation_{dataset.metric}"},
        "hyperparameters": {name: text(value) for name, value in values.items()},
        "ranges": ranges(candidate.ranges),
    }


def ranges(found: Mapping[str, Range]) -> dict[str, list[dict[str, Any]]]:
    """Return ranges as SageMaker's ParameterRanges has them: every number a text."""
    return {
        "IntegerParameterRanges": [_bounds(name, each) for name, each in found.items() if each.kind == INTEGER],
        "ContinuousParameterRanges": [_bounds(name, each) for name, each in found.items() if each.kind == CONTINUOUS],
        "CategoricalParameterRanges": [
            {"Name": name, "Values": [text(value) for value in each.choices]}
            for name, each in found.items()
            if each.kind == CATEGORICAL
        ],
    }


def _bounds(name: str, found: Range) -> dict[str, Any]:
    low, high = text(found.min), text(found.max)
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": SCALES[found.scale]}


def middle(found: Range) -> float:
    """Return the middle of a range of numbers, or the mean of its choices."""
    values = found.choices or (found.min, found.max)
    return sum(values) / len(values)


def warm_start(
    request: RunRequest, dataset: DatasetReport, definitions: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any] | None, str]:
    """Return WarmStartConfig, or None, and in words why.

    It is TransferLearning even with the same rows: each run has its dataset at an address of its own, and
    IdenticalDataAndAlgorithm wants the same one
    (https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html).
    """
    if not request.tune.warm_start:
        return None, ""
    parent = table.get(ledger.tuning_key(request.tenant, request.project))
    if parent is None:
        return None, "no warm start: no search of this project has finished yet"
    origin = f"{parent['job']} (run {parent['run']})"
    why = _cannot_follow(request, dataset, definitions[0], parent)
    if why:
        return None, f"no warm start from {origin}: {why}"
    same = "the same" if parent["fingerprint"] == dataset.fingerprint else "new"
    jobs = [{"HyperParameterTuningJobName": parent["job"]}]
    config = {"ParentHyperParameterTuningJobs": jobs, "WarmStartType": "TransferLearning"}
    return config, f"warm start from {origin}, which searched on {same} rows"


def _cannot_follow(
    request: RunRequest, dataset: DatasetReport, definition: Mapping[str, Any], parent: Mapping[str, Any]
) -> str:
    """Return why SageMaker would not begin from the parent; empty when it does."""
    for name, value in {"recipe": definition["recipe"], "metric": dataset.metric}.items():
        if parent[name] != value:
            return f"its {name} was {parent[name]!r}, this run's is {value!r}"
    mine, theirs = _tuned(definition), _tuned(parent)
    names = set(mine) | set(definition["hyperparameters"])
    if names != set(theirs) | set(parent["hyperparameters"]):
        return "it had other hyperparameters; recipe or Tandem changed since"
    for name in mine.keys() & theirs.keys():
        if mine[name][0] != theirs[name][0]:
            return f"it searched {name} in a range of another kind"
    if _changes(definition["hyperparameters"], parent) > MAX_CHANGES:
        return "too many of the settings that are not searched have changed since"
    if parent["jobs"] + request.tune.jobs > MAX_JOBS:
        return f"with its {parent['jobs']} jobs there would be more than {MAX_JOBS}"
    return ""


def _tuned(definition: Mapping[str, Any]) -> dict[str, tuple[str, Sequence[str]]]:
    """Return what a definition searches: kind and, of categories, the values."""
    return {
        each["Name"]: (kind, each.get("Values", ())) for kind, found in definition["ranges"].items() for each in found
    }


def _changes(static: Mapping[str, str], parent: Mapping[str, Any]) -> int:
    """Count as SageMaker does: a static value that changed is two; one that was searched is one, or its values."""
    count, before = 0, _tuned(parent)
    for name, value in static.items():
        kind, choices = before.get(name, ("", (parent["hyperparameters"].get(name, value),)))
        values = {value, *choices}
        count += kind not in ("", "CategoricalParameterRanges")
        count += len(values) if len(values) > 1 else 0
    return count


def remember(request: RunRequest, dataset: Mapping[str, Any], plan: Mapping[str, Any], job: str, jobs: int) -> None:
    """Let the project's next search begin from this finished one, if SageMaker allows it (one definition)."""
    if len(plan["definitions"]) != 1:
        return
    (definition,) = plan["definitions"]
    row = {
        "job": job,
        "run": request.run,
        "recipe": definition["recipe"],
        "metric": plan["metric"],
        "jobs": jobs,
        "hyperparameters": definition["hyperparameters"],
        "ranges": definition["ranges"],
        "fingerprint": dataset["fingerprint"],
    }
    table.put(ledger.tuning_key(request.tenant, request.project), row)
