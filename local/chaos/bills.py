"""What the jobs of a run were billed in the end, whatever the run itself says that it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contract.run import Job
from functions import jobs
from local.chaos.site import Site

KINDS = {"training": jobs.bill_training, "processing": jobs.bill_processing, "transform": jobs.bill_transform}
ROUNDED_USD = 1e-6
"""By how much a job's price, and their sum, are rounded in a run's story."""


def difference(site: Site, row: Mapping[str, Any]) -> float:
    """Return by how many dollars a settled run's cost is not what its jobs were billed; 0 where it is."""
    billed = list(_billed(site, row["run"]))
    off = float(row["usd"]) - sum(job.usd or 0.0 for job in billed)
    return off if abs(off) > ROUNDED_USD * (len(billed) + 1) else 0.0


def _billed(site: Site, run: str) -> Iterator[Job]:
    sagemaker = site.client("sagemaker")
    for kind, bill in KINDS.items():
        noun = kind.title()
        for page in sagemaker.get_paginator(f"list_{kind}_jobs").paginate(NameContains=run):
            for name in [each[f"{noun}JobName"] for each in page[f"{noun}JobSummaries"]]:
                described = getattr(sagemaker, f"describe_{kind}_job")(**{f"{noun}JobName": name})
                yield bill(described)
