"""CloudWatch Logs from inside the cloud's own process, and metrics embedded in log lines.

Functions, jobs, endpoints and builds write their output with ``LogStream``; it
is read with any CloudWatch Logs client. Lambda's lines also go through
``embedded_metrics``, as CloudWatch does with the embedded metric format
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from typing import Any

from moto.logs.models import LogsBackend, logs_backends

MAX_MESSAGE = 1024 * 1024 - 26  # bytes of one event, as CloudWatch Logs counts them
_lock = threading.Lock()  # moto's log groups and streams are plain dicts


class LogStream:
    """One log stream; its group is made when missing, as Lambda and SageMaker do.

    Args:
        account, region: whose CloudWatch Logs.
        group, name: of the stream, e.g. ``/aws/lambda/settle``.
    """

    def __init__(self, *, account: str, region: str, group: str, name: str) -> None:
        self.group, self.name = group, name
        self._backend: LogsBackend = logs_backends[account][region]

    def write(self, messages: Iterable[str]) -> None:
        """Append ``messages``, one event each, with the present time; empty ones are left out."""
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": message[:MAX_MESSAGE]} for message in messages if message]
        if not events:
            return
        with _lock:  # a person may have deleted the group meanwhile: it comes back, as on AWS
            self._backend.ensure_log_group(self.group)
            self._backend.ensure_log_stream(self.group, self.name)
            self._backend.put_log_events(self.group, self.name, events)


def embedded_metrics(line: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return ``[(namespace, MetricData)]`` for a log line in the embedded metric format, else ``[]``."""
    if '"_aws"' not in line or not line.lstrip().startswith("{"):
        return []
    try:
        document = json.loads(line)
    except ValueError:
        return []
    header = document.get("_aws")
    if not isinstance(header, dict):
        return []
    timestamp = header.get("Timestamp", time.time() * 1000) / 1000
    return [
        (directive["Namespace"], _metric_data(document, directive, timestamp))
        for directive in header.get("CloudWatchMetrics", [])
    ]


def _metric_data(document: dict[str, Any], directive: dict[str, Any], timestamp: float) -> list[dict[str, Any]]:
    """One datum a metric and dimension set; values may be numbers or lists of numbers."""
    data = []
    for names in directive.get("Dimensions") or [[]]:
        dimensions = [{"Name": name, "Value": str(document[name])} for name in names]
        for metric in directive.get("Metrics", []):
            value = document[metric["Name"]]
            data.append(
                {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Timestamp": timestamp,
                    "Values": [float(number) for number in (value if isinstance(value, list) else [value])],
                    "Unit": metric.get("Unit", "None"),
                }
            )
    return data
