"""What happens at endpoints, as CloudWatch counts it: put there in small batches, beside the requests.

Source: "SageMaker AI endpoint invocation metrics". Each value has two sets of dimensions, as on AWS: endpoint and
variant; the same and the endpoint configuration, by which an alarm tells a new fleet from the old one.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.cloudwatch.models import cloudwatch_backends

from local.sagemaker.async_queue import Backlog
from local.sagemaker.records import now

if TYPE_CHECKING:
    from local.cloud import Cloud

NAMESPACE = "AWS/SageMaker"
FLUSH_SECONDS, SHORTEST_FLUSH = 10.0, 0.1  # of the clock; real seconds, because requests are real work


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One request as its variant saw it.

    Args:
        endpoint, config, variant: names.
        instances: servers of the variant at the time.
        status: the container's HTTP status; 500 when it did not answer.
        model_seconds: how long the container took; None when it did not answer.
        seconds: how long the request took in all.
    """

    endpoint: str
    config: str
    variant: str
    instances: int
    status: int
    model_seconds: float | None
    seconds: float


class Load(NamedTuple):
    """How many requests each instance of a variant is answering on average."""

    endpoint: str
    config: str
    variant: str
    requests: float


Key = tuple[str, str, str, str]  # endpoint, config ("" for the variant's own metric), variant ("" for the endpoint's)
TIMES = {"TimeInBacklog": "Microseconds", "TotalProcessingTime": "Milliseconds"}


class Meters:
    """Counts invocations, and sends the counts while the cloud runs.

    Args:
        cloud: whose CloudWatch.
        loads: returns what the variants in service are answering.
        backlogs: returns how the queues of asynchronous endpoints are.
    """

    def __init__(self, cloud: Cloud, loads: Callable[[], list[Load]], backlogs: Callable[[], list[Backlog]]) -> None:
        self.cloud, self._loads, self._backlogs = cloud, loads, backlogs
        self._lock = threading.Lock()
        self._pending: dict[Key, list[float]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_until_stopped, daemon=True, name="endpoint-metrics")
        self._thread.start()
        cloud.on_stop(self.close)

    def count(self, invocation: Invocation) -> None:
        """Note an invocation; returns at once."""
        values = {
            "Invocations": 1.0,
            "InvocationsPerInstance": 1.0 / max(1, invocation.instances),
            "Invocation4XXErrors": float(400 <= invocation.status < 500),
            "Invocation5XXErrors": float(invocation.status >= 500),
            "InvocationModelErrors": float(invocation.status >= 400),
        }
        if invocation.model_seconds is not None:
            values["ModelLatency"] = invocation.model_seconds * 1e6
            values["OverheadLatency"] = max(0.0, invocation.seconds - invocation.model_seconds) * 1e6
        self.note(invocation.endpoint, invocation.config, invocation.variant, values)

    def note(self, endpoint: str, config: str, variant: str, values: dict[str, float]) -> None:
        """Note values of a variant's metrics; returns at once."""
        with self._lock:
            for metric, value in values.items():
                for each in ("", config):
                    self._pending[endpoint, each, variant, metric].append(value)

    def close(self) -> None:
        """Send the rest and end."""
        self._stop.set()
        self._thread.join()

    def _send_until_stopped(self) -> None:
        wait = max(self.cloud.clock.seconds(FLUSH_SECONDS), SHORTEST_FLUSH)
        ended = False
        while not ended:
            ended = self._stop.wait(wait)
            self._send()

    def _send(self) -> None:
        loads, backlogs = self._loads(), self._backlogs()
        with self._lock:
            pending, self._pending = self._pending, defaultdict(list)
        for load in loads:  # a variant that nobody asks sends nothing, as on AWS
            if load.requests or (load.endpoint, "", load.variant, "Invocations") in pending:
                for config in ("", load.config):
                    pending[load.endpoint, config, load.variant, "ConcurrentRequestsPerModel"] = [load.requests]
        for backlog in backlogs:
            for metric, value in _backlog(backlog).items():
                pending[backlog.endpoint, "", "", metric] = [value]
        moment = now()
        data = [_datum(key, values, moment) for key, values in pending.items()]
        # Past the wire: ten thousand latencies as a request's parameters would slow the requests they are of.
        cloudwatch_backends[self.cloud.account][self.cloud.region].put_metric_data(NAMESPACE, data)


def _backlog(backlog: Backlog) -> dict[str, float]:
    """Return the metrics of an asynchronous endpoint ("Monitor asynchronous endpoints")."""
    return {
        "ApproximateBacklogSize": float(backlog.size),
        "ApproximateBacklogSizePerInstance": backlog.size / max(1, backlog.instances),
        "ApproximateAgeOfOldestRequest": backlog.age,
        "HasBacklogWithoutCapacity": float(backlog.size > 0 and backlog.instances == 0),
    }


def _datum(key: Key, values: list[float], moment: datetime) -> dict[str, Any]:
    endpoint, config, variant, metric = key
    dimensions = {
        "EndpointName": endpoint,
        **({"VariantName": variant} if variant else {}),
        **({"EndpointConfigName": config} if config else {}),
    }
    datum = {
        "MetricName": metric,
        "Timestamp": moment,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Unit": TIMES.get(metric, "Microseconds" if metric.endswith("Latency") else "None"),
    }
    if metric.endswith("Latency") or metric in TIMES:  # percentiles need each value
        return {**datum, "Values": values}
    statistics = {"SampleCount": len(values), "Sum": sum(values), "Minimum": min(values), "Maximum": max(values)}
    return {**datum, "StatisticValues": statistics}
