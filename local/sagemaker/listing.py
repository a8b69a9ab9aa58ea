"""List operations: SageMaker's filters, order and pages over records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from local.sagemaker.errors import Refused
from local.sagemaker.records import Record

PAGE = 100  # AWS's default and limit


def page(
    records: Iterable[Record],
    request: dict[str, Any],
    *,
    key: str,
    status: str,
    summary: Callable[[Record], dict[str, Any]],
    order: str = "Descending",
    sorts: Mapping[str, Callable[[Record], Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return one page.

    Args:
        key: the response's member, ``TrainingJobSummaries``.
        status: the field that StatusEquals compares; '' where there is none.
        summary: a record as the list shows it.
        order: the operation's default SortOrder.
        sorts: SortBy -> what to sort by, where an operation has more than Name, Status and CreationTime.
    """
    now = list(records)  # at once: others come and go while these are read
    chosen = [record for record in now if _wanted(record, request, status)]
    by = request.get("SortBy", "CreationTime")
    sort = sorts.get(by, lambda record: _sort_key(record, by, status))
    chosen.sort(key=sort, reverse=request.get("SortOrder", order) != "Ascending")
    start = _start(request.get("NextToken"), len(chosen))
    end = start + request.get("MaxResults", PAGE)
    shown: dict[str, Any] = {key: [summary(record) for record in chosen[start:end]]}
    return {**shown, "NextToken": str(end)} if end < len(chosen) else shown


def _wanted(record: Record, request: dict[str, Any], status: str) -> bool:
    created, modified = record.created, record.get("LastModifiedTime")
    bounds = [
        (request.get("CreationTimeAfter"), created, 1),
        (request.get("CreationTimeBefore"), created, -1),
        (request.get("LastModifiedTimeAfter"), modified, 1),
        (request.get("LastModifiedTimeBefore"), modified, -1),
    ]
    in_time = all(
        bound is None or (moment - _time(bound)).total_seconds() * sign >= 0 for bound, moment, sign in bounds
    )
    named = request.get("NameContains", "").lower() in record.name.lower()
    return in_time and named and request.get("StatusEquals") in (None, record.get(status))


def _time(value: float | str) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)


def _sort_key(record: Record, by: str, status: str) -> Any:
    return {"Name": record.name, "Status": record.get(status)}.get(by, record.created)


def _start(token: str | None, count: int) -> int:
    if token is None:
        return 0
    if not token.isdigit() or int(token) > count:
        raise Refused(f"Invalid pagination token: {token!r}")
    return int(token)
