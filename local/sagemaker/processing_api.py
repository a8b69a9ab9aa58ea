"""CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs, StopProcessingJob."""

from __future__ import annotations

from typing import Any

from local.sagemaker import rules
from local.sagemaker.errors import InUse, Refused
from local.sagemaker.jobs import Jobs
from local.sagemaker.listing import page
from local.sagemaker.processing import ProcessingJob
from local.sagemaker.records import Record, arn_of


class ProcessingJobs(Jobs):
    """CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs, StopProcessingJob."""

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the request, record the job and start it."""
        rules.check_processing(request)
        name = request["ProcessingJobName"]
        if name in backend.processing_jobs:
            raise InUse("Job name must be unique within an AWS account and region, and a job with this name already "
                        f"exists ({backend.processing_jobs[name].arn})")  # fmt: skip
        record = Record(name=name, arn=arn_of(backend, "processing-job", name), request=request)
        record.update(ProcessingJobName=name, ProcessingJobArn=record.arn, ProcessingJobStatus="InProgress")
        backend.processing_jobs[name] = record
        self.start(ProcessingJob(self.cloud, record))
        return {"ProcessingJobArn": record.arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the job's description."""
        description: dict[str, Any] = self._record(backend, request).describe()
        return description

    def stop_job(self, backend: Any, request: dict[str, Any]) -> None:
        """Stop a job."""
        record = self._record(backend, request)
        if record.get("ProcessingJobStatus") not in ("InProgress", "Stopping"):
            raise Refused(f"The job is in status {record.get('ProcessingJobStatus')} and cannot be stopped.")
        self.stop(record)

    def list_jobs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        fields = (
            "ProcessingJobName", "ProcessingJobArn", "CreationTime", "ProcessingEndTime", "LastModifiedTime",
            "ProcessingJobStatus", "FailureReason", "ExitMessage",
        )  # fmt: skip
        return page(
            backend.processing_jobs.values(),
            request,
            key="ProcessingJobSummaries",
            status="ProcessingJobStatus",
            summary=lambda record: {name: record.get(name) for name in fields if record.get(name) is not None},
        )

    def _record(self, backend: Any, request: dict[str, Any]) -> Record:
        record = backend.processing_jobs.get(request["ProcessingJobName"])
        if record is None:
            raise Refused(
                f"Could not find processing job '{arn_of(backend, 'processing-job', request['ProcessingJobName'])}'."
            )
        found: Record = record
        return found
