"""CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob."""

from __future__ import annotations

import functools
from typing import Any

from local.sagemaker import models
from local.sagemaker.errors import InUse, NotEmulated, NotFound, Refused
from local.sagemaker.jobs import Jobs
from local.sagemaker.listing import page
from local.sagemaker.objects import Location, MissingInput
from local.sagemaker.records import Record, arn_of
from local.sagemaker.transform import DEFAULT_PAYLOAD, TransformJob

MOST_IN_FLIGHT = 100  # megabytes: MaxPayloadInMB of all MaxConcurrentTransforms


class TransformJobs(Jobs):
    """CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob."""

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the request, record the job and start it."""
        check(request)
        name = request["TransformJobName"]
        if name in backend.transform_jobs:
            raise InUse("Job name must be unique within an AWS account and region, and a job with this name already "
                        f"exists ({backend.transform_jobs[name].arn})")  # fmt: skip
        models.find(backend._models, backend, "model", request["ModelName"])
        record = Record(name=name, arn=arn_of(backend, "transform-job", name), request=request)
        record.update(TransformJobName=name, TransformJobArn=record.arn, TransformJobStatus="InProgress")
        backend.transform_jobs[name] = record
        self.start(TransformJob(self.cloud, record, functools.partial(models.definition, backend)))
        return {"TransformJobArn": record.arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the job's description."""
        description = self._record(backend, request).describe()
        description.pop("LastModifiedTime")
        return description

    def stop_job(self, backend: Any, request: dict[str, Any]) -> None:
        """Stop a job; one that has ended stays as it is."""
        name = request["TransformJobName"]
        if name not in backend.transform_jobs:
            raise NotFound(f"Could not find transform job '{arn_of(backend, 'transform-job', name)}'.")
        record = backend.transform_jobs[name]
        if record.get("TransformJobStatus") == "InProgress":
            self.stop(record)

    def list_jobs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        fields = (
            "TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime", "LastModifiedTime",
            "TransformJobStatus", "FailureReason",
        )  # fmt: skip
        return page(
            backend.transform_jobs.values(),
            request,
            key="TransformJobSummaries",
            status="TransformJobStatus",
            summary=lambda record: {name: record.get(name) for name in fields if record.get(name) is not None},
        )

    def _record(self, backend: Any, request: dict[str, Any]) -> Record:
        name = request["TransformJobName"]
        if name not in backend.transform_jobs:
            raise Refused(f"Could not find transform job '{arn_of(backend, 'transform-job', name)}'.")
        found: Record = backend.transform_jobs[name]
        return found


def check(request: dict[str, Any]) -> None:
    """Raise Refused or NotEmulated for a CreateTransformJob that AWS, or the laptop, does not take."""
    _check_input(request["TransformInput"])
    if "DataCaptureConfig" in request:
        raise NotEmulated("CreateTransformJob's DataCaptureConfig")
    for member, left_alone in (("InputFilter", "$"), ("OutputFilter", "$"), ("JoinSource", "None")):
        if request.get("DataProcessing", {}).get(member, left_alone) != left_alone:
            raise NotEmulated(f"CreateTransformJob's DataProcessing.{member}")
    resources = request["TransformResources"]
    if "TransformAmiVersion" in resources:
        raise NotEmulated("CreateTransformJob's TransformAmiVersion")
    try:
        Location.parse(request["TransformOutput"]["S3OutputPath"])
    except MissingInput as error:
        raise Refused(f"TransformOutput.S3OutputPath: {error}") from error
    payload = request.get("MaxPayloadInMB", DEFAULT_PAYLOAD)
    in_flight = payload * (request.get("MaxConcurrentTransforms") or 1)
    if in_flight > MOST_IN_FLIGHT:
        raise Refused(
            f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MOST_IN_FLIGHT} MB; this makes {in_flight}"
        )


def _check_input(given: dict[str, Any]) -> None:
    kind = given["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise Refused(f"S3DataType {kind} is not supported for transform jobs; expected S3Prefix or ManifestFile")
    if given.get("CompressionType", "None") != "None":
        raise NotEmulated(f"transform input with CompressionType {given['CompressionType']}")
    if given.get("SplitType", "None") not in ("None", "Line"):
        raise NotEmulated(f"transform input with SplitType {given['SplitType']}")
