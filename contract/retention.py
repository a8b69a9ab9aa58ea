"""How long each kind of data is kept: a table. Days count from when an object was written; None is for good.

S3's own lifecycle rules choose objects by the beginning of their keys or by tags. Here keys begin with tenant and
project, and what SageMaker writes has no tags. So rules of the buckets see to old versions and to parts of uploads that
were never finished, and a function that runs once a day to all that is told apart by where it lies
(``functions/retention.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from contract import keys
from contract.errors import InvalidConfig, nearest

DATA, ARTIFACTS, LOGS = "data", "artifacts", "logs"
SHORTEST = 30
"""Days: a run may wait for an approval and be resumed for two weeks."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of data.

    Attributes:
        bucket: DATA, ARTIFACTS or LOGS.
        below: places of it, below ``<tenant>/<project>/``; of a run, ``runs/*/`` and what follows; empty for what
            a rule of the bucket sees to.
        days: how long it is kept unless the installation says otherwise; None for good.
        what: what it is, for people.
    """

    bucket: str
    below: tuple[str, ...] = ()
    days: int | None
    what: str

    def holds(self, key: str) -> bool:
        """Say whether an object of its bucket is of this kind."""
        _, _, path = key.partition("/")[2].partition("/")
        return bool(path) and any(place.match(path) for place in map(_pattern, self.below))


def _pattern(place: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, place.split("*"))))


RUN = "runs/*/"
KINDS: dict[str, Kind] = {
    "uploads": Kind(bucket=DATA, below=(keys.INBOX,), days=None, what="uploads"),
    "feedback": Kind(bucket=DATA, below=("feedback/",), days=None, what="ground truth that came later"),
    "batch_files": Kind(bucket=DATA, below=(f"{keys.BATCH}/",), days=90, what="files that the champion answered"),
    "datasets": Kind(
        bucket=ARTIFACTS, below=(RUN + keys.UPLOAD, RUN + keys.DATASET, RUN + keys.REPLAY), days=365,
        what="copies of uploads, prepared datasets, rows kept for replay",
    ),
    "quarantine": Kind(bucket=ARTIFACTS, below=(RUN + keys.QUARANTINE,), days=90, what="rows that were set aside"),
    "checkpoints": Kind(bucket=ARTIFACTS, below=(RUN + keys.CHECKPOINTS,), days=30, what="states of training"),
    "capture": Kind(bucket=ARTIFACTS, below=("capture/",), days=90, what="captured requests and answers"),
    "queued": Kind(bucket=ARTIFACTS, below=("async/",), days=30, what="requests to queues, and their answers"),
    "answers": Kind(bucket=ARTIFACTS, below=(f"{keys.BATCH}/",), days=90, what="copies of files, and their answers"),
    "models": Kind(
        bucket=ARTIFACTS, below=(RUN + keys.TRAIN, RUN + keys.EVALUATE, "edge/"), days=None,
        what="model archives, golden samples, bundles for devices",
    ),
    "reports": Kind(
        bucket=ARTIFACTS, below=(RUN,), days=None, what="what a run wrote besides: requests, plans, reports",
    ),
    "old_data": Kind(bucket=DATA, days=90, what="versions that were replaced or deleted"),
    "old_artifacts": Kind(bucket=ARTIFACTS, days=30, what="versions that were replaced or deleted"),
    "access_logs": Kind(bucket=LOGS, days=90, what="S3's server access logs"),
}  # fmt: skip
"""By the name in the setting; an object is of the first kind that holds it."""
BY_RULE = tuple(name for name, kind in KINDS.items() if not kind.below)
"""Kinds that a lifecycle rule sees to."""


def places(bucket: str, days: Mapping[str, int | None] | None = None) -> list[str]:
    """Return where a bucket holds data below a project; with ``days``, only what is not kept for good."""
    kinds = [kind for name, kind in KINDS.items() if kind.bucket == bucket and (days is None or days[name])]
    return sorted(place for kind in kinds for place in kind.below)


def kind_of(bucket: str, key: str) -> str:
    """Return the kind of an object; empty for one of none, such as project.toml, which stays."""
    return next((name for name, kind in KINDS.items() if kind.bucket == bucket and kind.holds(key)), "")


def parse(text: str) -> dict[str, int | None]:
    """Return the days of each kind.

    Args:
        text: JSON, kind = days, for those that are not as in the table; 0 is for good.

    Raises:
        InvalidConfig: for what cannot be meant.
    """
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidConfig("keep_days", text, 'JSON such as {"capture": 30}') from error
    if not isinstance(given, Mapping):
        raise InvalidConfig("keep_days", given, 'JSON such as {"capture": 30}')
    for name, days in given.items():
        if name not in KINDS:
            raise InvalidConfig(f"keep_days.{name}", days, "one of " + ", ".join(KINDS), nearest(name, KINDS))
        _check(name, days)
    return {name: (given.get(name, kind.days) or None) for name, kind in KINDS.items()}


def _check(name: str, days: object) -> None:
    least = 1 if name in BY_RULE else SHORTEST
    if type(days) is not int or not (days >= least or (days == 0 and name not in BY_RULE)):
        forever = "" if name in BY_RULE else ", or 0 for good"
        raise InvalidConfig(f"keep_days.{name}", days, f"a number of days, at least {least}{forever}")
