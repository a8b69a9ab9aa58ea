"""Retention: once a day, what is older than its kind is kept is deleted; the buckets' rules see to its old versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from contract import names, retention
from functions.shared import client, environment, logger, setting

SPARE_MS = 60_000
"""Before the function's time is over, it stops: the next day goes on."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Delete what is too old.

    Args:
        event: the schedule's, with its ``time``. Called by hand, ``prefix`` keeps it to a tenant's or a project's.
        context: tells how much time is left.

    Returns:
        ``{"deleted", "finished"}``: how many objects of each kind, and whether all were looked at.
    """
    now, days = datetime.fromisoformat(event["time"]), retention.parse(setting(names.KEEP_DAYS))
    deleted: Counter[str] = Counter()
    for kind, name in ((retention.DATA, names.DATA_BUCKET), (retention.ARTIFACTS, names.ARTIFACTS_BUCKET)):
        bucket = environment(name)
        for found in _too_old(kind, bucket, event.get("prefix", ""), now, days):
            if context.get_remaining_time_in_millis() < SPARE_MS:
                return _told(deleted, finished=False)
            _delete(bucket, found)
            deleted.update(found.values())
    return _told(deleted, finished=True)


def _told(deleted: Counter[str], *, finished: bool) -> dict[str, Any]:
    told = {"deleted": dict(deleted), "finished": finished}
    logger.info("retention", extra=told)
    return told


def _too_old(
    kind: str, bucket: str, prefix: str, now: datetime, days: Mapping[str, int | None]
) -> Iterator[dict[str, str]]:
    """Yield keys with their kinds, a page of at most a thousand at a time: as many as DeleteObjects takes."""
    for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        found = {}
        for each in page.get("Contents", []):
            name = retention.kind_of(kind, each["Key"])
            kept = days.get(name)
            if kept and each["LastModified"] < now - timedelta(days=kept):
                found[each["Key"]] = name
        yield found


def _delete(bucket: str, found: Mapping[str, str]) -> None:
    if not found:
        return
    objects = [{"Key": key} for key in found]
    answer = client("s3").delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    if errors := answer.get("Errors"):
        raise RuntimeError(f"S3 did not delete {len(errors)} objects of {bucket}: {errors[0]['Code']}")
