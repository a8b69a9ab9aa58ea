"""A run's SageMaker jobs: what they cost, what they logged, how training went.

BillableTimeInSeconds is wall-clock time with the spot discount already taken
off ("you can calculate the savings ... (1 - BillableTimeInSeconds /
TrainingTimeInSeconds) * 100", DescribeTrainingJob), so seconds x instances x
on-demand price is the bill.
"""

from __future__ import annotations

import json
import math
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from contract import keys, metrics, names
from contract.prices import load_prices
from contract.run import Job
from functions.shared import client, error_code

LOG_LINES = 60
MAX_LOG_EVENTS = 50_000
TRAINING = ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName")
PROCESSING = ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName")
TRANSFORM = ("list_transform_jobs", "TransformJobSummaries", "TransformJobName")
"""Of each kind of job: what lists them, where they are in its answer, and what their name is called there."""
GOING_ON = ("InProgress", "Stopping")
"""In this order: a job that begins to stop between two looks is seen by the second."""
Described = dict[str, Any]


def training(run: str) -> list[Described]:
    """Return the descriptions of a run's training jobs, oldest first, without those of its searches."""
    sagemaker = client("sagemaker")
    found = _names(run, *TRAINING)
    return [sagemaker.describe_training_job(TrainingJobName=name) for name in found]


def processing(run: str) -> list[Described]:
    """Return the descriptions of a run's processing jobs, oldest first."""
    sagemaker = client("sagemaker")
    found = _names(run, *PROCESSING)
    return [sagemaker.describe_processing_job(ProcessingJobName=name) for name in found]


def transforms(run: str) -> list[Described]:
    """Return the descriptions of a run's transform jobs, oldest first."""
    sagemaker = client("sagemaker")
    found = _names(run, *TRANSFORM)
    return [sagemaker.describe_transform_job(TransformJobName=name) for name in found]


def tuning_names(run: str, *, status: str = "") -> list[str]:
    """Return the names of a run's tuning jobs, oldest first; all of them, or those of a status."""
    member, field = "HyperParameterTuningJobSummaries", "HyperParameterTuningJobName"
    only = {"StatusEquals": status} if status else {}
    return _names(run, "list_hyper_parameter_tuning_jobs", member, field, step="tune", **only)


def going_on(run: str) -> list[str]:
    """Return the names of a run's jobs and searches that have not ended."""
    found: list[str] = []
    for status in GOING_ON:
        for kind in (TRAINING, PROCESSING, TRANSFORM):
            found += _names(run, *kind, StatusEquals=status)
        found += tuning_names(run, status=status)
    return found


def stop(run: str) -> list[str]:
    """Stop the jobs and searches of a run that has ended; return their names.

    Step Functions stops the jobs that it waits for. It waits for no search, and for no job whose creation it never
    heard of.
    """
    sagemaker = client("sagemaker")
    running = (
        (sagemaker.stop_training_job, "TrainingJobName", _names(run, *TRAINING, StatusEquals="InProgress")),
        (sagemaker.stop_processing_job, "ProcessingJobName", _names(run, *PROCESSING, StatusEquals="InProgress")),
        (sagemaker.stop_hyper_parameter_tuning_job, "HyperParameterTuningJobName",
         tuning_names(run, status="InProgress")),
    )  # fmt: skip
    return [name for end, field, found in running for name in found if _is_stopped(end, {field: name})]


def _is_stopped(end: Callable[..., Any], job: Mapping[str, str]) -> bool:
    try:
        end(**job)
    except ClientError as error:
        if error_code(error) != "ValidationException":  # it has just ended by itself, or was stopped
            raise
        return False
    return True


def _names(
    run: str, operation: str, member: str, field: str, *, step: str = "(?!tune-)[a-z]+", **only: str
) -> list[str]:
    """A job's name is run, step and numbers: of no other run, even one whose id starts the same.

    Its tenant may be before it. Training jobs of a tuning job have its name, a number and a few letters or digits
    more.
    """
    own = re.compile(rf"(?:.+--)?{re.escape(run)}-{step}(?:-[0-9]+)+")
    pages = client("sagemaker").get_paginator(operation)
    listed = pages.paginate(NameContains=run, SortBy="CreationTime", SortOrder="Ascending", **only)
    return [job[field] for page in listed for job in page[member] if own.fullmatch(job[field])]


def bill_training(job: Described) -> Job:
    """Return what a training job was billed."""
    machines = training_machines(job)
    seconds = job.get("BillableTimeInSeconds")
    if seconds is None:  # a job that was stopped, or is not finished, or is told by a search's list: whole seconds, too
        seconds = math.ceil(_elapsed(job.get("TrainingStartTime") or _began(job), job.get("TrainingEndTime")))
    return Job(
        name=job["TrainingJobName"],
        kind="training",
        status=f"{job['TrainingJobStatus']}",
        instance="+".join(machines),
        hosts=sum(machines.values()),
        spot=bool(job.get("EnableManagedSpotTraining")),
        billable_seconds=seconds,
        usd=_usd(load_prices().training, machines, seconds),
        failure=job.get("FailureReason") or "",
    )


def training_machines(job: Described) -> dict[str, int]:
    """Return the machines of a training job: type = number of hosts of it."""
    resources = job["ResourceConfig"]
    if groups := resources.get("InstanceGroups"):
        return {each["InstanceType"]: each["InstanceCount"] for each in groups}
    preferred = [choice["InstanceType"] for choice in resources.get("InstancePreferences") or []]
    # With preferences, SageMaker says which type it found capacity for.
    instance = resources.get("SelectedInstanceType") or resources.get("InstanceType") or (preferred or [""])[0]
    return {instance: resources.get("SelectedInstanceCount") or resources.get("InstanceCount") or 1}


def _began(job: Described) -> datetime | None:
    """Return when a job that has no end yet got its machines."""
    steps = job.get("SecondaryStatusTransitions") or []
    return next((step["StartTime"] for step in steps if step["Status"] in ("Downloading", "Training")), None)


def bill_processing(job: Described) -> Job:
    """Return what a processing job was billed."""
    cluster = job["ProcessingResources"]["ClusterConfig"]
    seconds = _seconds(job.get("ProcessingStartTime"), job.get("ProcessingEndTime"))
    return Job(
        name=job["ProcessingJobName"],
        kind="processing",
        status=job["ProcessingJobStatus"],
        instance=cluster["InstanceType"],
        hosts=cluster["InstanceCount"],
        spot=False,
        billable_seconds=seconds,
        usd=_usd(load_prices().processing, {cluster["InstanceType"]: cluster["InstanceCount"]}, seconds),
        failure=job.get("FailureReason") or "",
    )


def bill_transform(job: Described) -> Job:
    """Return what a transform job was billed: "for the time interval between" its start and end (its Describe)."""
    machines = {job["TransformResources"]["InstanceType"]: job["TransformResources"]["InstanceCount"]}
    seconds = _seconds(job.get("TransformStartTime"), job.get("TransformEndTime"))
    return Job(
        name=job["TransformJobName"],
        kind="transform",
        status=job["TransformJobStatus"],
        instance="+".join(machines),
        hosts=sum(machines.values()),
        spot=False,
        billable_seconds=seconds,
        usd=_usd(load_prices().transform, machines, seconds),
        failure=job.get("FailureReason") or "",
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return round(_elapsed(start, end), 1)


def _elapsed(start: datetime | None, end: datetime | None) -> float:
    return ((end or datetime.now(start.tzinfo)) - start).total_seconds() if start else 0.0


def _usd(prices: Mapping[str, float], machines: Mapping[str, int], seconds: float) -> float | None:
    """Return what machines (type = number) cost; None where a type has no known price."""
    if not machines.keys() <= prices.keys():
        return None
    return round(sum(prices[name] * count for name, count in machines.items()) * seconds / 3600, 6)


def epochs(described: list[Described]) -> list[dict[str, float]]:
    """Return every epoch's metrics; where a later job trained an epoch again, its word counts."""
    by_epoch: dict[float, dict[str, float]] = {}
    for job in described:
        lines = _from_archive(job) if job["TrainingJobStatus"] == "Completed" else _from_log(job)
        by_epoch |= {line["epoch"]: line for line in lines if "epoch" in line}
    return [by_epoch[number] for number in sorted(by_epoch)]


def _from_archive(job: Described) -> Iterator[dict[str, float]]:
    """Yield the lines of metrics.jsonl in the job's model.tar.gz, read as a stream."""
    uri = (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    if not uri:
        return
    bucket, key = keys.parse_uri(uri)
    try:
        body = client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error_code(error) != "NoSuchKey":
            raise
        return
    with tarfile.open(fileobj=body, mode="r|gz") as archive:
        for member in archive:
            if member.name.removeprefix("./") == keys.MODEL_METRICS:
                content = archive.extractfile(member)
                yield from (json.loads(line) for line in content or () if line.strip())
                return


def _from_log(job: Described) -> Iterator[dict[str, float]]:
    lines = log(names.TRAINING_LOGS, job["TrainingJobName"])
    yield from (parsed for line in lines if (parsed := metrics.parse_line(line)))


def log(group: str, job: str) -> list[str]:
    """Return a job's log over all hosts, in order of time; empty when it wrote none."""
    streams = _streams(group, job)
    if not streams:
        return []
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=streams)
    found: list[str] = []
    for page in pages:
        found += [event["message"].rstrip("\n") for event in page["events"]]
        if len(found) >= MAX_LOG_EVENTS:
            break
    return found


def _streams(group: str, job: str) -> list[str]:
    """Return the log streams of a job's hosts, at most as many as one call can read."""
    try:
        answer = client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/", limit=50)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return []
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def failure_log(described_training: list[Described], described_processing: list[Described]) -> str:
    """Return the end of the log of the last job that failed; empty when none did."""
    failed = [
        (job["CreationTime"], group, job[name])
        for jobs, group, name, status in (
            (described_training, names.TRAINING_LOGS, "TrainingJobName", "TrainingJobStatus"),
            (described_processing, names.PROCESSING_LOGS, "ProcessingJobName", "ProcessingJobStatus"),
        )
        for job in jobs
        if job[status] == "Failed"
    ]
    if not failed:
        return ""
    _, group, job = max(failed)
    return "\n".join(log(group, job)[-LOG_LINES:])
