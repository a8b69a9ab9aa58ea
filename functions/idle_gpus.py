"""Every quarter of an hour: training jobs whose GPUs do nothing are stopped (``train.min_gpu_percent``).

What a job's run allows is in the job's own environment; one without these variables is nobody's of ours, and left
alone. SageMaker counts, each minute, how busy the GPUs of each host are, 0 to 100 % times their number
(``GPUUtilization`` of ``<job>/algo-<n>``, "SageMaker AI job metrics"). A stopped job gets SIGTERM, writes its
checkpoint, and ``tandem resume`` goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from contract import gpus, keys, names
from functions import bus, jobs, runs
from functions.shared import client, error_code, logger

PERIOD = 60
"""Seconds between two values of SageMaker's."""
ENOUGH = 0.8
"""Share of the minutes whose value must be there: CloudWatch may be a little late, and is not believed when it is
behind."""
QUERIES = 500
"""Metrics that one call may ask for."""
ENDED = ("ValidationException", "ResourceNotFound")
"""What StopTrainingJob says of a job that has ended."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A training job that has trained for long enough to be judged.

    Args:
        name: its own.
        output: an address below its run's prefix.
        hosts: how many machines it has.
        gpus: of each host; the fewest where they differ.
        floor: percent of a GPU that its run wants.
        minutes: how long they may do less.
    """

    name: str
    output: str
    hosts: int
    gpus: int
    floor: float
    minutes: int

    def why(self, peak: float) -> str:
        """Say why it is stopped."""
        run = keys.run_of(self.output)[2]
        return (
            f"its GPUs did nothing for {self.minutes} minutes: {peak:.2g} % in the busiest of them, and less than "
            f"train.min_gpu_percent = {self.floor:g} stops a job after train.idle_gpu_minutes = {self.minutes}. "
            f"`tandem resume {run}` goes on from the last checkpoint; with train.min_gpu_percent = 0 a new run may wait"
        )


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Stop the jobs whose GPUs do nothing.

    Args:
        event: the schedule's; its ``time`` is now. What is stopped twice is stopped once.
        context: unused.

    Returns:
        ``{"stopped"}``: names of jobs.

    Raises:
        RuntimeError: when a job could not be looked at or stopped, with the reason; the others were.
    """
    now = datetime.fromisoformat(event["time"])
    failed: list[str] = []
    watched, stopped = [], []
    for name in _in_progress():
        with _apart(name, failed):
            watched += _watched(client("sagemaker").describe_training_job(TrainingJobName=name), now)
    told = _told(watched, now)
    for job in watched:
        peak = _peak(job, [told[job.name, number] for number in range(1, job.hosts + 1)])
        if peak is not None and peak < job.floor:
            with _apart(job.name, failed):
                stopped += _stop(job, peak)
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"stopped": stopped}


@contextmanager
def _apart(job: str, failed: list[str]) -> Iterator[None]:
    """Note what is wrong with one job, so that the others are looked at."""
    try:
        yield
    except Exception as error:
        logger.exception("a job was not looked at", extra={"job": job})
        failed.append(f"{job}: {error}")


def _in_progress() -> list[str]:
    pages = client("sagemaker").get_paginator("list_training_jobs").paginate(StatusEquals="InProgress")
    return [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]


def _watched(job: jobs.Described, now: datetime) -> list[Watched]:
    """Return a job that is to be judged; nothing where it has no floor, no GPU, or has not trained for so long.

    Time counts from when training really began: not while machines are wanted, data come down, or spot is away.
    """
    environment = job.get("Environment") or {}
    if names.MIN_GPU_PERCENT not in environment:
        return []  # no run's: whatever it is, it may lack what a run's job has
    machines = jobs.training_machines(job)
    found = Watched(
        name=job["TrainingJobName"],
        output=job["OutputDataConfig"]["S3OutputPath"],
        hosts=sum(machines.values()),
        gpus=min(map(gpus.count, machines)),
        floor=float(environment[names.MIN_GPU_PERCENT]),
        minutes=int(environment[names.IDLE_GPU_MINUTES]),
    )
    step = (job.get("SecondaryStatusTransitions") or [{"Status": job["SecondaryStatus"]}])[-1]
    trains = step["Status"] == "Training" and now - step["StartTime"] >= timedelta(minutes=found.minutes)
    return [found] if trains and found.floor and found.gpus else []


def _told(watched: Sequence[Watched], now: datetime) -> dict[tuple[str, int], list[float]]:
    """Return what CloudWatch has of each host: a value for each minute that it knows of the job's last ones.

    The event of a tick may be late, so what came after it counts too.
    """
    hosts = [(job, number) for job in watched for number in range(1, job.hosts + 1)]
    found: dict[tuple[str, int], list[float]] = {(job.name, number): [] for job, number in hosts}
    for start in range(0, len(hosts), QUERIES):
        asked = {f"h{place}": host for place, host in enumerate(hosts[start : start + QUERIES])}
        pages = client("cloudwatch").get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_query(id, job.name, number) for id, (job, number) in asked.items()],
            StartTime=now - timedelta(minutes=max(job.minutes for job, _ in asked.values())),
            EndTime=max(now, datetime.now(UTC)),
        )  # fmt: skip
        for result in (each for page in pages for each in page["MetricDataResults"]):
            job, number = asked[result["Id"]]
            since = now - timedelta(minutes=job.minutes)
            values = zip(result["Timestamps"], result["Values"], strict=True)
            found[job.name, number] += [value for moment, value in values if moment >= since]
    return found


def _query(id: str, job: str, number: int) -> dict[str, Any]:
    host = [{"Name": "Host", "Value": f"{job}/algo-{number}"}]
    metric = {"Namespace": names.TRAINING_METRICS, "MetricName": "GPUUtilization", "Dimensions": host}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": PERIOD, "Stat": "Maximum"}}


def _peak(job: Watched, told: Sequence[Sequence[float]]) -> float | None:
    """Return what the busiest host did in its busiest minute, in percent of a GPU; None where too little is known."""
    known = all(len(values) >= ENOUGH * job.minutes for values in told)
    return max(map(max, told)) / job.gpus if known else None


def _stop(job: Watched, peak: float) -> list[str]:
    """Stop a job, and say why where its run's end finds it; return its name, or nothing when it has just ended."""
    tenant, project, run = keys.run_of(job.output)
    why = job.why(peak)
    runs.note_idle(run, job.name, why)
    try:
        client("sagemaker").stop_training_job(TrainingJobName=job.name)
    except ClientError as error:
        if error_code(error) not in ENDED:
            raise
        return []
    bus.put(names.EVENT_JOB_STOPPED, {"tenant": tenant, "project": project, "run": run, "job": job.name, "why": why})
    logger.info("a job was stopped", extra={"job": job.name, "percent": peak})
    return [job.name]
