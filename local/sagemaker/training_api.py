"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.sagemaker import rules
from local.sagemaker.errors import InUse, NotFound, Refused
from local.sagemaker.jobs import Jobs
from local.sagemaker.listing import page
from local.sagemaker.objects import Location
from local.sagemaker.records import Record, arn_of
from local.sagemaker.training import TrainingJob

MakeJob = Callable[..., TrainingJob]  # of cloud, record, output


class TrainingJobs(Jobs):
    """CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob."""

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the request, record the job and start it."""
        rules.check_training(request)
        return {"TrainingJobArn": self.launch(backend, request).arn}

    def launch(self, backend: Any, request: dict[str, Any], *, make: MakeJob = TrainingJob, **fields: Any) -> Record:
        """Record a checked job and start it; ``fields`` are for Describe, ``make`` says what kind of job it is."""
        name = request["TrainingJobName"]
        if name in backend.training_jobs:
            raise InUse("Training job names must be unique within an AWS account and region, and a job with this "
                        f"name already exists ({backend.training_jobs[name].arn})")  # fmt: skip
        output = Location.parse(request["OutputDataConfig"]["S3OutputPath"]) / f"{name}/output"
        record = Record(name=name, arn=arn_of(backend, "training-job", name), request=request)
        record.update(
            TrainingJobName=name,
            TrainingJobArn=record.arn,
            TrainingJobStatus="InProgress",
            SecondaryStatus="Starting",
            EnableNetworkIsolation=request.get("EnableNetworkIsolation", False),
            EnableInterContainerTrafficEncryption=request.get("EnableInterContainerTrafficEncryption", False),
            EnableManagedSpotTraining=request.get("EnableManagedSpotTraining", False),
            ModelArtifacts={"S3ModelArtifacts": str(output / "model.tar.gz")},
            **fields,
        )
        backend.training_jobs[name] = record
        self.start(make(self.cloud, record, output))
        return record

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the job's description; ValidationException when there is none, as AWS says it."""
        name = request["TrainingJobName"]
        if name not in backend.training_jobs:
            raise Refused("Requested resource not found.")
        description: dict[str, Any] = backend.training_jobs[name].describe()
        return description

    def stop_job(self, backend: Any, request: dict[str, Any]) -> None:
        """Stop a job; one that has ended cannot be stopped."""
        record = backend.training_jobs.get(request["TrainingJobName"])
        if record is None:
            raise NotFound("Requested resource not found.")
        if record.get("TrainingJobStatus") not in ("InProgress", "Stopping"):
            raise Refused(
                f"The request was rejected because the training job is in status {record.get('TrainingJobStatus')}."
            )
        self.stop(record)

    def list_jobs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        fields = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime")
        return page(
            backend.training_jobs.values(),
            request,
            key="TrainingJobSummaries",
            status="TrainingJobStatus",
            summary=lambda record: {
                name: record.get(name)
                for name in (*fields, "TrainingJobStatus", "SecondaryStatus")
                if record.get(name) is not None
            },
        )
