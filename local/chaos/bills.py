"""What the jobs of a run were billed in the end, whatever the run itself says that it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from contract.run import Job
from functions import jobs
from functions.paid_jobs import STOP_SECONDS
from local.chaos.site import Site

KINDS = {"training": jobs.bill_training, "processing": jobs.bill_processing, "transform": jobs.bill_transform}
ROUNDED_SECONDS, ROUNDED_USD = 0.1, 1e-6
"""By how much a job's time and price are rounded in a run's story."""


def difference(site: Site, row: Mapping[str, Any]) -> float:
    """Return by how many dollars a settled run's cost is not what its jobs were billed; 0 where it is.

    A run that is stopped is settled at once. What its jobs take to stop is not in it, two minutes of each at most.
    """
    billed = list(_billed(site, row["run"]))
    ended = datetime.fromisoformat(row["ended"])
    exact = sum(job.usd or 0.0 for job, _ in billed)
    rounded = sum(_usd(job, ROUNDED_SECONDS) + ROUNDED_USD for job, _ in billed) + ROUNDED_USD
    late = sum(_usd(job, _late(end, ended)) for job, end in billed)
    off = float(row["usd"]) - exact
    return 0.0 if -late - rounded <= off <= rounded else off


def _late(end: datetime | None, ended: datetime) -> float:
    """Return the seconds that a job went on after its run's end, as far as it may; a second is always rounded up."""
    after = (end - ended) if end else timedelta(seconds=STOP_SECONDS)
    return min(after.total_seconds() + 1, STOP_SECONDS) if after > timedelta() else 0.0


def _usd(job: Job, seconds: float) -> float:
    """Return what some seconds of a job's machines cost, at the rate that it was billed."""
    return (job.usd or 0.0) / job.billable_seconds * seconds if job.billable_seconds else 0.0


def _billed(site: Site, run: str) -> Iterator[tuple[Job, datetime | None]]:
    sagemaker = site.client("sagemaker")
    for kind, bill in KINDS.items():
        noun = kind.title()
        for page in sagemaker.get_paginator(f"list_{kind}_jobs").paginate(NameContains=run):
            for name in [each[f"{noun}JobName"] for each in page[f"{noun}JobSummaries"]]:
                described = getattr(sagemaker, f"describe_{kind}_job")(**{f"{noun}JobName": name})
                yield bill(described), described.get(f"{noun}EndTime")
