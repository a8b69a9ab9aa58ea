"""Sweep: once a day, an upload whose event was never delivered gets its run all the same.

EventBridge delivers at least once, what a target refuses for a day lies in the dead letters, and still nothing but the
inbox itself proves that no event was lost. So this looks there: of a version that has come within LOOK_BACK and whose
row names no execution, intake gets the event. Where that was only late, intake has it twice, and makes one run.

S3 is asked once for each thousand versions in the inboxes, and once for each tenant and project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from contract import keys, ledger, names
from contract.errors import InvalidConfig
from functions import folders, intake, table
from functions.shared import client, environment, logger

LOOK_BACK = timedelta(days=14)
"""As long as the dead letters are kept; what is older was seen by the sweeps of two weeks."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Send the lost events to intake; a sweep that fails at one is tried again, as a whole.

    Args:
        event: the schedule's; nothing in it matters.
        context: unused.

    Returns:
        ``{"lost"}``: the addresses of the uploads whose events they are.
    """
    found = []
    for lost in lost_events(environment(names.DATA_BUCKET), datetime.now(UTC) - LOOK_BACK):
        client("lambda").invoke(
            FunctionName=environment(names.INTAKE_ARN), InvocationType="Event", Payload=json.dumps(lost).encode()
        )
        found.append(f"s3://{lost['detail']['bucket']['name']}/{lost['detail']['object']['key']}")
        logger.warning("the event of an upload was lost", extra={"upload": found[-1]})
    return {"lost": found}


def lost_events(bucket: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the events of the versions in all inboxes that start runs, came after ``since`` and have none."""
    for version in _arrivals(bucket, since):
        entry = {"key": version["Key"], "version-id": version["VersionId"], "size": version["Size"]}
        event = {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {"bucket": {"name": bucket}, "object": entry},
        }
        row = table.get(ledger.upload_key(bucket, version["Key"], version["VersionId"])) or {}
        arrival = intake.parse(event)
        if arrival and not row.get("execution_arn") and _may_start(arrival):
            yield event


def _may_start(arrival: intake.Arrival) -> bool:
    """Say whether intake would not refuse it, as it has; a new tenant's start with ``tandem tenant add``."""
    try:
        intake.check(arrival)
    except InvalidConfig:
        return False
    return True


def _arrivals(bucket: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the versions in all inboxes that came after ``since``; what was deleted since then is withdrawn."""
    for project in folders.projects(bucket):
        yield from _inbox(bucket, f"{project}{keys.INBOX}", since)


def _inbox(bucket: str, prefix: str, since: datetime) -> Iterator[dict[str, Any]]:
    withdrawn: set[str] = set()
    for page in client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        withdrawn |= {marker["Key"] for marker in page.get("DeleteMarkers", []) if marker["IsLatest"]}
        for version in page.get("Versions", []):
            if version["LastModified"] >= since and version["Key"] not in withdrawn:
                yield version
