"""A run's tuning jobs: what they tried, what came of it, what it cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from contract import leaderboard
from contract.leaderboard import Leaderboard, Trial
from contract.run import Job
from functions import jobs
from functions.jobs import Described
from functions.shared import client

MOST_DESCRIBED = 200
"""Training jobs of a search that are described one by one, a tenth of a second each: a search has up to 750."""

MOST_REASONS = 20
"""Stopped training jobs that are asked why: the list tells only why a job failed."""

AT_ONCE = 4
"""Descriptions that are asked for side by side; SageMaker throttles an account's."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A tuning job and its training jobs.

    Args:
        tuning: the tuning job's description.
        summaries: its training jobs as they are listed, oldest first; they say what was searched.
        trained: name = description, of some only as far as their summary tells it.
        described: the names of those with a whole description.
    """

    tuning: Described
    summaries: Sequence[Described]
    trained: Mapping[str, Described]
    described: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The tuning job's name."""
        return str(self.tuning["HyperParameterTuningJobName"])


def read(name: str) -> Search:
    """Return a tuning job and the list of what it started: a call for each hundred training jobs, and one more."""
    sagemaker = client("sagemaker")
    tuning = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    listed = pages.paginate(HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending")
    summaries = [summary for page in listed for summary in page["TrainingJobSummaries"]]
    trained = {each["TrainingJobName"]: _told(each, _definitions(tuning)) for each in summaries}
    return Search(tuning=tuning, summaries=summaries, trained=trained)


def _definitions(tuning: Described) -> list[Described]:
    """Return the training job definitions; one or several."""
    found: list[Described] = tuning.get("TrainingJobDefinitions") or [tuning["TrainingJobDefinition"]]
    return found


def _told(summary: Described, definitions: Sequence[Described]) -> Described:
    """Return a training job's description as far as its summary and its definition tell it."""
    name = summary.get("TrainingJobDefinitionName")  # a single definition may have none
    definition = next((each for each in definitions if each.get("DefinitionName") == name), definitions[0])
    told = ("TrainingJobName", "TrainingJobStatus", "CreationTime", "TrainingStartTime", "TrainingEndTime",
            "FailureReason")  # fmt: skip
    return {
        **{name: summary[name] for name in told if name in summary},
        "HyperParameters": {**definition.get("StaticHyperParameters", {}), **summary["TunedHyperParameters"]},
        "ResourceConfig": _machines(definition)[0],
        "EnableManagedSpotTraining": definition.get("EnableManagedSpotTraining", False),
    }


def _machines(definition: Described) -> list[Described]:
    """Return the machines that a definition's jobs may have, the preferred ones first."""
    ladder = definition.get("HyperParameterTuningResourceConfig", {}).get("InstanceConfigs")
    return list(ladder or [definition["ResourceConfig"]])


def described(search: Search, names: Iterable[str]) -> Search:
    """Return a search that knows some of its training jobs by their whole descriptions."""
    wanted = [name for name in dict.fromkeys(names) if name not in search.described]
    if not wanted:
        return search
    describe = client("sagemaker").describe_training_job
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: describe(TrainingJobName=name), wanted))
    trained = {**search.trained, **dict(zip(wanted, found, strict=True))}
    return dataclasses.replace(search, trained=trained, described=search.described | set(wanted))


def of_run(run: str) -> list[Search]:
    """Return a run's searches, oldest first: a second one where spot machines were missing, or after a redrive."""
    return [priced(read(name)) for name in jobs.tuning_names(run)]


def priced(search: Search) -> Search:
    """Return a search with what its price needs.

    On machines of one type on demand the list tells it. What spot cost, and which type a job got, is in the jobs'
    descriptions: of the best ``MOST_DESCRIBED``. The others are priced by their time on the first type, on demand.
    """
    found = board(search)
    told = all(len(_machines(each)) == 1 and not _on_spot(each) for each in _definitions(search.tuning))
    names = [] if told else [trial.job for trial in found.trials][:MOST_DESCRIBED]
    return described(search, [*names, *filter(None, [found.best])])


def _on_spot(definition: Described) -> bool:
    return bool(definition.get("EnableManagedSpotTraining"))


def board(search: Search, *, note: str = "") -> Leaderboard:
    """Return what a search tried, best first."""
    config = search.tuning["HyperParameterTuningJobConfig"]
    objective = _definitions(search.tuning)[0].get("TuningObjective") or config["HyperParameterTuningJobObjective"]
    higher = objective["Type"] == "Maximize"
    trials = [_trial(summary, search.trained[summary["TrainingJobName"]]) for summary in search.summaries]
    found = leaderboard.best(trials, higher_is_better=higher)
    return Leaderboard(
        job=search.name,
        status=search.tuning["HyperParameterTuningJobStatus"],
        strategy=config["Strategy"].lower(),
        metric=objective["MetricName"].removeprefix("validation_"),
        higher_is_better=higher,
        jobs=config["ResourceLimits"].get("MaxNumberOfTrainingJobs", len(trials)),
        best=found.job if found else None,
        note="; ".join(filter(None, [note, _estimate(search)])),
        trials=leaderboard.ranked(trials, higher_is_better=higher),
    )


def _estimate(search: Search) -> str:
    """Return in words how many jobs are priced by their time only; empty when none is."""
    rest = sum(_on_spot(each) and name not in search.described for name, each in search.trained.items())
    return f"the cost of {rest} of its jobs is that of their time on demand, more than spot's" if rest else ""


def _trial(summary: Described, described: Described) -> Trial:
    bill = jobs.bill_training(described)
    final = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    recipe = described["HyperParameters"].get("recipe", "")
    return Trial(
        job=bill.name,
        recipe=recipe,
        candidate=summary.get("TrainingJobDefinitionName") or recipe,
        values=dict(summary["TunedHyperParameters"]),
        status=bill.status,
        score=final["Value"] if final else None,
        seconds=bill.billable_seconds,
        usd=bill.usd,
        failure=bill.failure or _unfinished(described),
    )


def _unfinished(described: Described) -> str:
    """Return why a job that was stopped ended, where that tells more than its status."""
    secondary = described.get("SecondaryStatus", "")
    return secondary if described["TrainingJobStatus"] == "Stopped" and secondary != "Stopped" else ""


def bill(search: Search) -> Job:
    """Return what a search was billed, all its training jobs together."""
    bills = [jobs.bill_training(described) for described in search.trained.values()]
    known = [each.usd for each in bills if each.usd is not None]
    return Job(
        name=search.name,
        kind="tuning",
        status=search.tuning["HyperParameterTuningJobStatus"],
        instance=", ".join(sorted({each.instance for each in bills if each.instance})),
        hosts=max((each.hosts for each in bills), default=1),
        spot=any(each.spot for each in bills),
        billable_seconds=round(sum(each.billable_seconds for each in bills), 1),
        usd=round(sum(known), 6) if len(known) == len(bills) else None,
        failure=search.tuning.get("FailureReason") or "",
    )


def why_none(search: Search) -> str:
    """Return why a search has no model: its jobs' own reasons, each once; else its own."""
    stopped = [name for name, each in search.trained.items() if each["TrainingJobStatus"] == "Stopped"]
    found = board(described(search, stopped[:MOST_REASONS]))
    if reasons := _once(trial.failure for trial in found.trials if trial.failure):
        return "\n".join(reasons)
    if own := search.tuning.get("FailureReason"):
        return str(own)
    ended = ", ".join(sorted({trial.status for trial in found.trials})) or "none was started"
    return f"No training job of {found.job} finished with a value of validation_{found.metric} ({ended})."


def _once(reasons: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(reasons))
