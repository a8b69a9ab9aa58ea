"""What the server did, counted: as Prometheus' text, and as CloudWatch's embedded metrics.

Counting a request takes a microsecond, which is why this is no client library. Formats:
https://prometheus.io/docs/instrumenting/exposition_formats (0.0.4) and CloudWatch's "Embedded metric format".
"""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract import names

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
TOGETHER = (1, 2, 4, 8, 16, 32, 64)
LATENCIES = 100  # values of one metric that an EMF line may hold
KEPT = 100_000  # latencies between two EMF lines; of more, the last ones


@dataclass(kw_only=True)
class Histogram:
    """Observations by upper bound, as Prometheus counts them."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> list[str]:
        """Return the samples of the metric ``name``."""
        found, lines = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            found += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {found}')
        return [*lines, f"{name}_sum {self.total!r}", f"{name}_count {found}"]


class Metrics:
    """Counters of one process; written to from the event loop alone."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self.seconds = Histogram(bounds=SECONDS)
        self.together = Histogram(bounds=TOGETHER)
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}  # by name: what it is, and its value now
        self._since: Counter[int] = Counter()  # statuses since the last EMF line
        self._latencies: list[float] = []

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count an answered prediction."""
        self.requests[route, status] += 1
        self.seconds.observe(seconds)
        self._since[status] += 1
        if len(self._latencies) < KEPT:
            self._latencies.append(seconds)
        else:
            self._latencies[self._since.total() % KEPT] = seconds

    def prometheus(self) -> str:
        """Return everything since the start, as text."""
        lines = [
            "# HELP tandem_requests_total Predictions asked for, by route and status.",
            "# TYPE tandem_requests_total counter",
            *(
                f'tandem_requests_total{{route="{route}",status="{status}"}} {count}'
                for (route, status), count in sorted(self.requests.items())
            ),
            "# HELP tandem_request_seconds From the whole request to the whole answer.",
            "# TYPE tandem_request_seconds histogram",
            *self.seconds.lines("tandem_request_seconds"),
            "# HELP tandem_joined_requests Requests that were answered together.",
            "# TYPE tandem_joined_requests histogram",
            *self.together.lines("tandem_joined_requests"),
        ]
        for name, (meaning, value) in self.gauges.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {value():g}"]
        return "\n".join([*lines, ""])

    def embedded(self, dimensions: dict[str, str]) -> dict[str, Any] | None:
        """Return what happened since the last call as the fields of one EMF line; None when nothing did.

        A line holds 100 values of a metric at most, so of more latencies it has that many evenly spaced
        quantiles, the fastest and the slowest included: percentiles in CloudWatch stay close to the truth.
        """
        if not self._since:
            return None
        statuses, latencies = self._since, sorted(self._latencies)
        self._since, self._latencies = Counter(), []
        if len(latencies) > LATENCIES:
            step = (len(latencies) - 1) / (LATENCIES - 1)
            latencies = [latencies[round(place * step)] for place in range(LATENCIES)]
        units = {
            names.METRIC_REQUESTS: "Count",
            names.METRIC_CLIENT_ERRORS: "Count",
            names.METRIC_SERVER_ERRORS: "Count",
            names.METRIC_LATENCY: "Milliseconds",
        }
        directive = {
            "Namespace": names.METRICS_NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
        }
        return {
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
            **dimensions,
            names.METRIC_REQUESTS: statuses.total(),
            names.METRIC_CLIENT_ERRORS: sum(count for status, count in statuses.items() if 400 <= status < 500),
            names.METRIC_SERVER_ERRORS: sum(count for status, count in statuses.items() if status >= 500),
            names.METRIC_LATENCY: [round(seconds * 1000, 3) for seconds in latencies],
        }
