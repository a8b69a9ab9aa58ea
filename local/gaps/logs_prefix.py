"""Gap: FilterLogEvents ignores logStreamNamePrefix, and answers one stream after the other.

AWS looks into the streams whose names begin so, and always answers in order of
time ("FilterLogEvents", Amazon CloudWatch Logs API Reference). moto returns the
events of every stream of the group.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moto.logs.exceptions import InvalidParameterException
from moto.logs.responses import LogsResponse

if TYPE_CHECKING:
    from local.cloud import Cloud

NO_STREAM = ""
"""A name that no stream has: an empty list would stand for all of them."""


def _streams(response: LogsResponse) -> list[str]:
    """Return the names of the streams that are asked for; empty for all."""
    named: list[str] = response._get_param("logStreamNames", [])
    prefix = response._get_param("logStreamNamePrefix")
    if prefix is None:
        return named
    if named:
        raise InvalidParameterException("Cannot specify both logStreamNames and logStreamNamePrefix")
    group = response.logs_backend.groups.get(response._get_param("logGroupName"))
    return [name for name in group.streams if name.startswith(prefix)] or [NO_STREAM] if group else []


def filter_log_events(self: LogsResponse) -> str:
    """Answer the operation."""
    start, end, limit, token, pattern = map(
        self._get_param, ("startTime", "endTime", "limit", "nextToken", "filterPattern")
    )
    events, token, searched = self.logs_backend.filter_log_events(
        self._get_param("logGroupName"), _streams(self), start, end, limit, token, pattern, True
    )
    return json.dumps({"events": events, "nextToken": token, "searchedLogStreams": searched})


def install(cloud: Cloud) -> None:
    """Answer FilterLogEvents."""
    setattr(LogsResponse, "filter_log_events", filter_log_events)  # noqa: B010
