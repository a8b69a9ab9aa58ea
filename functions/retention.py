"""Retention: once a day, what is older than its kind is kept is deleted; the buckets' rules see to its old versions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from contract import names, retention
from functions import folders
from functions.shared import client, environment, logger, setting

SPARE_MS = 60_000
"""Before the function's time is over, it stops."""
Page = dict[str, str]
"""Keys of objects of one bucket, and the kind of each; at most a thousand, as many as DeleteObjects takes."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Delete what is too old.

    Args:
        event: the schedule's, with its ``time``. Called by hand, ``prefix`` keeps it to a tenant's or a project's.
        context: tells how much time is left.

    Returns:
        ``{"deleted", "finished"}``: how many objects of each kind, and whether all were looked at.
    """
    deleted: Counter[str] = Counter()
    for bucket, found in _too_old(event.get("prefix", ""), datetime.fromisoformat(event["time"])):
        if context.get_remaining_time_in_millis() < SPARE_MS:
            told = {"deleted": dict(deleted), "finished": False}
            logger.warning("retention had no time for everything", extra=told)
            return told
        _delete(bucket, found)
        deleted.update(found.values())
    told = {"deleted": dict(deleted), "finished": True}
    logger.info("retention", extra=told)
    return told


def _too_old(prefix: str, now: datetime) -> Iterator[tuple[str, Page]]:
    """Yield buckets, each with some of what is too old there."""
    days = retention.parse(setting(names.KEEP_DAYS))
    for kind, bucket, project in _places(prefix):
        for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=project):
            found = {}
            for each in page.get("Contents", []):
                name = retention.kind_of(kind, each["Key"])
                kept = days.get(name)
                if kept and each["LastModified"] < now - timedelta(days=kept):
                    found[each["Key"]] = name
            yield bucket, found


def _places(prefix: str) -> list[tuple[str, str, str]]:
    """Return where to look: kind and name of a bucket, and a project's prefix there.

    In another order each day: when the time does not suffice for all, it is not always the same that are left out.
    """
    buckets = {retention.DATA: environment(names.DATA_BUCKET), retention.ARTIFACTS: environment(names.ARTIFACTS_BUCKET)}
    found = [(kind, bucket, project) for kind, bucket in buckets.items() for project in folders.projects(bucket)]
    wanted = [place for place in found if place[2].startswith(prefix)]
    random.shuffle(wanted)
    return wanted


def _delete(bucket: str, found: Page) -> None:
    if not found:
        return
    objects = [{"Key": key} for key in found]
    answer = client("s3").delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    if errors := answer.get("Errors"):
        raise RuntimeError(f"S3 did not delete {len(errors)} objects of {bucket}: {errors[0]['Code']}")
