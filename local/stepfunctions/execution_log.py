"""A machine's ``loggingConfiguration``: its history events in CloudWatch Logs.

"Using CloudWatch Logs to log execution history in Step Functions" (developer
guide): ALL, ERROR, FATAL or OFF; payloads only with ``includeExecutionData``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.logs import LogStream
from local.stepfunctions.history import dumps

_FATAL = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
_ERRORS = ("Failed", "Aborted", "TimedOut")
_PAYLOADS = frozenset(
    f"{field}{suffix}" for field in ("input", "output", "assignedVariables") for suffix in ("", "Details")
) | {"parameters"}

Listener = Callable[[Mapping[str, Any]], None]


def listener(configuration: Mapping[str, Any], execution_arn: str) -> Listener:
    """Return what writes an event of this execution wherever the configuration says."""
    level, with_data = configuration.get("level", "OFF"), configuration.get("includeExecutionData", False)
    groups = [place["cloudWatchLogsLogGroup"]["logGroupArn"] for place in configuration.get("destinations", [])]
    streams = [_stream(group, execution_arn) for group in groups]

    def write(event: Mapping[str, Any]) -> None:
        if _is_wanted(str(event["type"]), level):
            line = dumps(_line(event, execution_arn, with_data))
            for stream in streams:
                stream.write([line])

    return write


def _stream(group_arn: str, execution_arn: str) -> LogStream:
    _, _, _, region, account, _, machine, name = execution_arn.split(":")
    log_group = group_arn.split(":log-group:")[1].removesuffix(":*")
    return LogStream(account=account, region=region, group=log_group, name=f"states/{machine}/{name}")


def _is_wanted(kind: str, level: str) -> bool:
    if level == "ERROR":
        return kind.endswith(_ERRORS)
    return level == "ALL" or (level == "FATAL" and kind in _FATAL)


def _line(event: Mapping[str, Any], execution_arn: str, with_data: bool) -> dict[str, Any]:
    details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    if not with_data:
        details = {name: value for name, value in details.items() if name not in _PAYLOADS}
    return {
        "id": str(event["id"]),
        "type": event["type"],
        "details": details,
        "previous_event_id": str(event["previousEventId"]),
        "event_timestamp": str(int(event["timestamp"].timestamp() * 1000)),
        "execution_arn": execution_arn,
    }
