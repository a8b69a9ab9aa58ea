"""A run's tuning jobs: what they tried, what came of it, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from contract import leaderboard
from contract.leaderboard import Leaderboard, Trial
from contract.run import Job
from functions import jobs
from functions.jobs import Described
from functions.shared import client, error_code


@dataclass(frozen=True, kw_only=True)
class Search:
    """A tuning job and its training jobs, as SageMaker describes them; the summaries say what was searched."""

    tuning: Described
    summaries: Sequence[Described]
    trained: Mapping[str, Described]

    @property
    def name(self) -> str:
        """The tuning job's name."""
        return str(self.tuning["HyperParameterTuningJobName"])


def read(name: str) -> Search:
    """Return a tuning job and all that it started."""
    sagemaker = client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    listed = pages.paginate(HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending")
    summaries = [summary for page in listed for summary in page["TrainingJobSummaries"]]
    names = [summary["TrainingJobName"] for summary in summaries]
    return Search(
        tuning=sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        summaries=summaries,
        trained={each: sagemaker.describe_training_job(TrainingJobName=each) for each in names},
    )


def of_run(run: str) -> list[Search]:
    """Return a run's searches, oldest first: a second one where spot machines were missing, or after a redrive."""
    return [read(name) for name in jobs.tuning_names(run)]


def stop(run: str) -> list[str]:
    """Stop the searches of a run that has ended: no state waits for them any more. Return their names."""
    sagemaker, stopped = client("sagemaker"), []
    for name in jobs.tuning_names(run, status="InProgress"):
        try:
            sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        except ClientError as error:
            if error_code(error) != "ValidationException":  # it has just ended by itself
                raise
        stopped.append(name)
    return stopped


def board(search: Search, *, note: str = "") -> Leaderboard:
    """Return what a search tried, best first."""
    config = search.tuning["HyperParameterTuningJobConfig"]
    definitions = search.tuning.get("TrainingJobDefinitions") or [search.tuning["TrainingJobDefinition"]]
    objective = definitions[0].get("TuningObjective") or config["HyperParameterTuningJobObjective"]
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
        note=note,
        trials=leaderboard.ranked(trials, higher_is_better=higher),
    )


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


def why_none(search: Leaderboard) -> str:
    """Return why a search has no model: its jobs' own reasons, each once."""
    reasons = _once(trial.failure for trial in search.trials if trial.failure)
    if reasons:
        return "\n".join(reasons)
    ended = ", ".join(sorted({trial.status for trial in search.trials})) or "none was started"
    return f"No training job of {search.job} finished with a value of validation_{search.metric} ({ended})."


def _once(reasons: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(reasons))
