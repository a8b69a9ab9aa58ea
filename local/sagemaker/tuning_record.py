"""A tuning job and its training jobs as Describe and List show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.sagemaker.records import Record

SIGNIFICANT = 0.01  # the share by which an objective must get better to count as improving
SUMMARY = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
           "TrainingJobStatus", "FailureReason")  # fmt: skip
TRAINING_STATUSES = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
OBJECTIVE_STATUSES = ("Succeeded", "Pending", "Failed")
Better = Callable[[float, float], bool]


@dataclass(kw_only=True)
class Trained:
    """A training job of a tuning job.

    Args:
        number: the search's.
        definition: the name of its definition; '' if it has none.
        values: the tuned hyperparameters.
        metric: ``Type`` and ``MetricName`` of its objective.
        record: what DescribeTrainingJob shows.
        objective: its final value; None if it has none, or none yet.
        ended: whether the tuning job has taken note of its end.
    """

    number: int
    definition: str
    values: dict[str, str]
    metric: dict[str, str]
    record: Record
    objective: float | None = None
    ended: bool = False

    @property
    def objective_status(self) -> str:
        """``Pending``, ``Succeeded`` or ``Failed``."""
        if not self.ended:
            return "Pending"
        return "Failed" if self.objective is None else "Succeeded"

    def summary(self) -> dict[str, Any]:
        """Return what ListTrainingJobsForHyperParameterTuningJob shows of it."""
        shown = {name: value for name in SUMMARY if (value := self.record.get(name)) is not None}
        if self.definition:
            shown["TrainingJobDefinitionName"] = self.definition
        if self.objective is not None:
            shown["FinalHyperParameterTuningJobObjectiveMetric"] = {**self.metric, "Value": self.objective}
        return {**shown, "TunedHyperParameters": self.values, "ObjectiveStatus": self.objective_status}


@dataclass(kw_only=True)
class TuningRecord(Record):
    """A tuning job as Describe shows it, and its training jobs."""

    trained: list[Trained] = field(default_factory=list)


def counters(trained: list[Trained]) -> dict[str, dict[str, int]]:
    """Return ``TrainingJobStatusCounters`` and ``ObjectiveStatusCounters``."""
    statuses = Counter(_category(each) for each in trained)
    objectives = Counter(each.objective_status for each in trained)
    return {
        "TrainingJobStatusCounters": {name: statuses[name] for name in TRAINING_STATUSES},
        "ObjectiveStatusCounters": {name: objectives[name] for name in OBJECTIVE_STATUSES},
    }


def best(finished: list[Trained], better: Better) -> Trained | None:
    """Return the completed job with the best objective; a stopped one, which may lack a model, only for want of any."""
    completed = [each for each in finished if each.record.get("TrainingJobStatus") == "Completed"]
    found: tuple[Trained, float] | None = None
    for jobs in (completed, finished):
        for each in jobs:
            if each.objective is not None and (found is None or better(each.objective, found[1])):
                found = each, each.objective
        if found:
            return found[0]
    return None


def overall_best(
    record: TuningRecord, mine: dict[str, Any] | None, parents: list[TuningRecord], better: Better
) -> dict[str, Any] | None:
    """Return the summary of the best training job of a tuning job and its parents; ``mine`` is its own best."""
    summaries = {record.name: mine, **{parent.name: parent.get("BestTrainingJob") for parent in parents}}
    found: dict[str, Any] | None = None
    for name, summary in summaries.items():
        if summary and (found is None or better(_value(summary), _value(found))):
            found = {**summary, "TuningJobName": name}
    return found


def not_improving(finished: list[Trained], better: Better) -> int:
    """Return how many training jobs have ended since the objective last got better by 1 %, in the order of ends."""
    top: float | None = None
    count = 0
    for each in finished:
        value = each.objective
        improves = value is not None and (
            top is None or (better(value, top) and abs(value - top) >= abs(top) * SIGNIFICANT)
        )
        count = 0 if improves else count + 1
        if value is not None and (top is None or better(value, top)):
            top = value
    return count


def _value(summary: dict[str, Any]) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def _category(job: Trained) -> str:
    """Return where TrainingJobStatusCounters counts a training job."""
    if not job.ended:
        return "InProgress"
    status = str(job.record.get("TrainingJobStatus"))
    if status != "Failed":
        return status
    return (
        "RetryableError" if str(job.record.get("FailureReason")).startswith("InternalServer") else "NonRetryableError"
    )
