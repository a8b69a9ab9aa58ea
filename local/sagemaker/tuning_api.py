"""CreateHyperParameterTuningJob and the operations on tuning jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.sagemaker import tuning_rules, tuning_warm
from local.sagemaker.errors import InUse, NotFound, Refused
from local.sagemaker.listing import page
from local.sagemaker.records import Record, arn_of
from local.sagemaker.training_api import TrainingJobs
from local.sagemaker.tuning import TuningJob
from local.sagemaker.tuning_record import Trained, TuningRecord, counters
from local.sagemaker.tuning_request import most_jobs, with_objective

if TYPE_CHECKING:
    from local.cloud import Cloud

LISTED = ("HyperParameterTuningJobName", "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus",
          "CreationTime", "HyperParameterTuningEndTime", "LastModifiedTime", "TrainingJobStatusCounters",
          "ObjectiveStatusCounters")  # fmt: skip


class TuningJobs:
    """The tuning jobs that this cloud runs; ``trainings`` runs their training jobs."""

    def __init__(self, cloud: Cloud, trainings: TrainingJobs) -> None:
        self.cloud, self.trainings = cloud, trainings
        self._jobs: dict[str, TuningJob] = {}
        cloud.on_stop(self.close)

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the request, record the job and start it."""
        tuning_rules.check(request)
        request = with_objective(request)
        name = request["HyperParameterTuningJobName"]
        jobs = backend.hyper_parameter_tuning_jobs
        if name.lower() in map(str.lower, jobs):  # AWS: "The name is not case sensitive"
            raise InUse(f"A hyperparameter tuning job with the name, {name}, already exists. Choose a different name.")
        parents = self._parents(backend, request)
        record = TuningRecord(name=name, arn=arn_of(backend, "hyper-parameter-tuning-job", name), request=request)
        record.update(HyperParameterTuningJobName=name, HyperParameterTuningJobArn=record.arn, **counters([]))
        job = TuningJob(self.cloud, backend, record, self.trainings, parents)
        jobs[name] = record
        self._jobs[record.arn] = job
        job.start()
        return {"HyperParameterTuningJobArn": record.arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the job's description."""
        description: dict[str, Any] = _find(backend, request).describe()
        return description

    def stop(self, backend: Any, request: dict[str, Any]) -> None:
        """Stop a job and its training jobs; nothing happens to one that is being stopped."""
        record = _find(backend, request)
        status = record.get("HyperParameterTuningJobStatus")
        if status not in ("InProgress", "Stopping"):
            raise Refused(f"The request was rejected because the hyperparameter tuning job is in status {status}.")
        if status == "InProgress":
            self._jobs[record.arn].stop()

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Forget a job that has ended; its training jobs stay. Nothing happens if there is none."""
        name = request["HyperParameterTuningJobName"]
        record = backend.hyper_parameter_tuning_jobs.get(name)
        if record is None:
            return
        status = record.get("HyperParameterTuningJobStatus")
        if status in ("InProgress", "Stopping"):
            raise Refused(f"The hyperparameter tuning job {name} is {status}; stop it before deleting it")
        del backend.hyper_parameter_tuning_jobs[name]

    def list_jobs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        return page(
            backend.hyper_parameter_tuning_jobs.values(),
            request,
            key="HyperParameterTuningJobSummaries",
            status="HyperParameterTuningJobStatus",
            summary=_summary,
        )

    def list_training_jobs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of the summaries of a job's training jobs."""
        trained = {each.record.arn: each for each in _find(backend, request).trained}
        return page(
            [each.record for each in trained.values()],
            {"SortBy": "Name", **request},
            key="TrainingJobSummaries",
            status="TrainingJobStatus",
            summary=lambda record: trained[record.arn].summary(),
            order="Ascending",
            sorts={"FinalObjectiveMetricValue": lambda record: _rank(trained[record.arn])},
        )

    def close(self) -> None:
        """Launch nothing more, because the cloud stops."""
        for job in self._jobs.values():
            job.close()

    def _parents(self, backend: Any, request: dict[str, Any]) -> list[TuningRecord]:
        if "WarmStartConfig" not in request:
            return []
        given = request["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
        parents = {each["HyperParameterTuningJobName"]: _find(backend, each) for each in given}
        if len(parents) < len(given):
            raise Refused("A parent tuning job can be given only once")
        tuning_warm.check(
            request,
            {name: record.request for name, record in parents.items()},
            {name: record.get("HyperParameterTuningJobStatus") for name, record in parents.items()},
        )
        launched = sum(len(record.trained) for record in parents.values())
        if launched + most_jobs(request) > tuning_rules.MOST_JOBS:
            raise Refused(
                f"The training jobs of the parents count too: {launched} and {most_jobs(request)} are more than "
                f"{tuning_rules.MOST_JOBS}"
            )
        return list(parents.values())


def _find(backend: Any, request: dict[str, Any]) -> TuningRecord:
    name = request["HyperParameterTuningJobName"]
    record = backend.hyper_parameter_tuning_jobs.get(name)
    if record is None:
        raise NotFound(f"Amazon SageMaker can't find a tuning job with the name {name}.")
    found: TuningRecord = record
    return found


def _summary(record: Record) -> dict[str, Any]:
    config = record.request["HyperParameterTuningJobConfig"]
    shown = {name: value for name in LISTED if (value := record.get(name)) is not None}
    return {**shown, "Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}


def _rank(job: Trained) -> tuple[bool, float]:
    """Return what to sort by its objective: a training job without one is the lowest."""
    return job.objective is not None, job.objective or 0.0
