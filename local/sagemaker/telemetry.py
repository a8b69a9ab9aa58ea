"""What a container prints, as CloudWatch shows it: log streams, and metrics by regular expression."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from local.logs import LogStream
from local.sagemaker.records import now

METRICS_BATCH = 500  # values of one PutMetricData; AWS takes 1,000


class LogStreams:
    """The log streams of one job or endpoint, written while it runs.

    Args:
        stream: makes a stream by its name.
        folder: where each stream is kept as a file too.
    """

    def __init__(self, *, stream: Callable[[str], LogStream], folder: Path) -> None:
        self._stream, self.folder = stream, folder
        self._streams: dict[str, LogStream] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, stream: str, line: str) -> None:
        """Add a line to ``stream``."""
        with self._lock:
            if stream not in self._streams:
                self._streams[stream] = self._stream(stream)
            with (self.folder / f"{stream.rpartition('/')[2]}.log").open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        self._streams[stream].write([line])


class Metrics:
    """Values read from log lines by a job's MetricDefinitions.

    Args:
        client: a CloudWatch client.
        definitions: ``[{"Name": ..., "Regex": ...}]``; the expression's first group is the value.
        namespace: ``/aws/sagemaker/TrainingJobs``.
        dimensions: of every value.
    """

    def __init__(
        self, client: Any, definitions: list[dict[str, str]], namespace: str, dimensions: dict[str, str]
    ) -> None:
        self.client, self.namespace = client, namespace
        self.dimensions = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        self._expressions = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
        self._lock = threading.Lock()
        self._pending: list[dict[str, Any]] = []
        self._last: dict[str, tuple[float, datetime]] = {}

    def read(self, line: str) -> list[tuple[str, float]]:
        """Take the values that ``line`` tells; return them with their names."""
        found = []
        for name, expression in self._expressions:
            match = expression.search(line)
            value = _number(match.group(1)) if match and match.groups() else None
            if value is not None:
                moment = now()
                found.append((name, value))
                with self._lock:
                    self._last[name] = (value, moment)
                    self._pending.append({"MetricName": name, "Value": value, "Timestamp": moment})
        return found

    def final(self) -> list[dict[str, Any]]:
        """Return the last value of each metric, as FinalMetricDataList."""
        with self._lock:
            return [
                {"MetricName": name, "Value": value, "Timestamp": moment}
                for name, (value, moment) in self._last.items()
            ]

    def flush(self) -> None:
        """Send what is pending to CloudWatch."""
        with self._lock:
            pending, self._pending = self._pending, []
        for start in range(0, len(pending), METRICS_BATCH):
            batch = [{**each, "Dimensions": self.dimensions} for each in pending[start : start + METRICS_BATCH]]
            self.client.put_metric_data(Namespace=self.namespace, MetricData=batch)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
