"""Metrics as alarms read them: one number for each stretch of time, or none where nothing was sent.

The values are moto's, which keeps them in one growing list. What was added since the last look is sorted into series
here, so that looking often costs little.
"""

from __future__ import annotations

import bisect
import math
import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, MetricDatum

PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
Key = tuple[str, str, frozenset[tuple[str, str]]]


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the value that ``percent`` of ``values`` are not above, between neighbours linearly; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One value, or a statistic set of several: then ``values`` is empty, as its percentiles are not known."""

    count: float
    total: float
    low: float
    high: float
    values: tuple[float, ...] = ()


@dataclass(kw_only=True)
class Series:
    """The samples of one metric in the order of their times (seconds since 1970)."""

    times: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def add(self, time: float, sample: Sample) -> None:
        """Insert a sample by its time."""
        at = bisect.bisect_right(self.times, time)
        self.times.insert(at, time)
        self.samples.insert(at, sample)

    def statistic(self, name: str, start: float, end: float) -> float | None:
        """Return a statistic of the samples from ``start`` to before ``end``; None when there are none."""
        samples = self.samples[bisect.bisect_left(self.times, start) : bisect.bisect_left(self.times, end)]
        if not samples:
            return None
        count, total = sum(each.count for each in samples), sum(each.total for each in samples)
        if match := PERCENTILE.fullmatch(name):
            return percentile([value for each in samples for value in each.values], float(match[1]))
        return {
            "Average": total / count if count else None,
            "Sum": total,
            "Minimum": min(each.low for each in samples),
            "Maximum": max(each.high for each in samples),
            "SampleCount": count,
        }[name]


class Metrics:
    """All series of an account.

    Args:
        backend: moto's CloudWatch.
    """

    def __init__(self, backend: CloudWatchBackend) -> None:
        self._backend, self._read = backend, 0
        self._series: dict[Key, Series] = defaultdict(Series)
        self._lock = threading.Lock()

    def statistic(
        self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str, start: float, end: float
    ) -> float | None:
        """Return a statistic of exactly one metric between two times; None when nothing was sent."""
        with self._lock:
            series = self._series.get((namespace, name, frozenset(dimensions.items())))
            return series.statistic(statistic, start, end) if series else None

    def refresh(self) -> None:
        """Take in what was sent since the last time."""
        with self._lock:
            data = self._backend.metric_data
            if len(data) < self._read:  # moto was reset
                self._read, self._series = 0, defaultdict(Series)
            fresh, self._read = data[self._read :], len(data)
            for datum in fresh:
                dimensions = frozenset((str(each.name), str(each.value)) for each in datum.dimensions)
                self._series[datum.namespace, datum.name, dimensions].add(_seconds(datum.timestamp), _sample(datum))


def _sample(datum: Any) -> Sample:
    if isinstance(datum, MetricDatum):
        return Sample(count=1, total=datum.value, low=datum.value, high=datum.value, values=(datum.value,))
    return Sample(count=datum.sample_count, total=datum.sum, low=datum.min, high=datum.max)


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
