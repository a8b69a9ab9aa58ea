"""What happens in functions, as CloudWatch counts it: Invocations, Errors, Duration, Throttles.

Source: "Types of metrics for Lambda functions" (AWS Lambda Developer Guide). Each value has the function's dimension;
one through an alias or version has the resource's too, and that of the version that ran, by which a weighted alias
is watched.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

if TYPE_CHECKING:
    from local.cloud import Cloud

NAMESPACE = "AWS/Lambda"
FLUSH_SECONDS = 0.5  # real seconds, because invocations are real work
UNITS = {"Duration": "Milliseconds"}
Dimensions = tuple[tuple[str, str], ...]


class Meters:
    """Counts invocations, and sends the counts while the cloud runs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._pending: dict[tuple[Dimensions, str], list[float]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_until_stopped, daemon=True, name="function-metrics")
        self._thread.start()
        cloud.on_stop(self.close)

    def count(self, arn: str, version: str, *, milliseconds: float, failed: bool) -> None:
        """Note an invocation of ``arn`` (alias or version included) that ``version`` answered; returns at once."""
        values = {"Invocations": 1.0, "Errors": float(failed), "Duration": milliseconds, "Throttles": 0.0}
        with self._lock:
            for dimensions in _dimensions(arn, version):
                for metric, value in values.items():
                    self._pending[dimensions, metric].append(value)

    def close(self) -> None:
        """Send the rest and end."""
        self._stop.set()
        self._thread.join()

    def _send_until_stopped(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(FLUSH_SECONDS)
            self._send()

    def _send(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, defaultdict(list)
        moment = datetime.now(UTC)
        data = [_datum(dimensions, metric, values, moment) for (dimensions, metric), values in pending.items()]
        if data:
            cloudwatch_backends[self._cloud.account][self._cloud.region].put_metric_data(NAMESPACE, data)


def _dimensions(arn: str, version: str) -> Iterator[Dimensions]:
    name, _, qualifier = arn.split(":", 6)[-1].partition(":")
    yield (("FunctionName", name),)
    if qualifier:
        resource = ("Resource", f"{name}:{qualifier}")
        yield (("FunctionName", name), resource)
        yield (("FunctionName", name), resource, ("ExecutedVersion", version))


def _datum(dimensions: Dimensions, metric: str, values: list[float], moment: datetime) -> dict[str, Any]:
    return {
        "MetricName": metric,
        "Timestamp": moment,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
        "Unit": UNITS.get(metric, "Count"),
        "Values": values,
    }
