"""Jobs and endpoints as Describe and List show them, kept in moto's backend.

moto's tag operations and the resource groups tagging API read ``arn`` and
``tags`` of whatever its backend holds, so records live in its dictionaries.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.sagemaker.utils import arn_formatter


def now() -> datetime:
    """Return the time as moto keeps it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def without_empty(value: Any) -> Any:
    """Return ``value`` without None and empty structures: AWS omits them, and typed clients rely on it."""
    if isinstance(value, dict):
        pruned = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item is not None and item != {} and item != []}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def arn_of(backend: Any, kind: str, name: str) -> str:
    """Return the ARN of a ``kind`` (``training-job``) called ``name``."""
    return arn_formatter(kind, name, backend.account_id, backend.region_name)


@dataclass(kw_only=True)
class Record:
    """One job, model or endpoint.

    Args:
        name: its name.
        arn: its ARN.
        request: what Create was asked, which Describe repeats.
        fields: what has become of it: status, times, reasons.
    """

    name: str
    arn: str
    request: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    created: datetime = field(default_factory=now)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self.tags = list(self.request.get("Tags", []))
        self.fields = {"CreationTime": self.created, "LastModifiedTime": self.created, **self.fields}

    def update(self, **fields: Any) -> None:
        """Set fields of Describe; LastModifiedTime follows."""
        with self.lock:
            self.fields.update({"LastModifiedTime": now(), **fields})

    def get(self, name: str) -> Any:
        """Return a field of Describe, or None."""
        with self.lock:
            return self.fields.get(name)

    def describe(self) -> dict[str, Any]:
        """Return what Describe says, without empty structures."""
        with self.lock:
            told = {key: value for key, value in self.request.items() if key != "Tags"}
            response: dict[str, Any] = without_empty({**told, **self.fields})
            return response
