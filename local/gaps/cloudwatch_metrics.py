"""Gap: a metric's statistics mix in other metrics that have more dimensions, and there are no percentiles.

AWS keeps each combination of dimensions as a metric of its own. moto's GetMetricStatistics adds up all metrics that
have the asked dimensions among theirs, and its GetMetricData answers nothing for ``p99``; where there are buckets,
whose metrics have times of another kind, it fails. Closed by ``local/metrics.py`` and here.

Not emulated: trimmed means and the other extended statistics (``TM``, ``WM``, ``PR``, ...), Metrics Insights.
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, Statistics

from local.metrics import PERCENTILE, percentile

if TYPE_CHECKING:
    from local.cloud import Cloud

ORIGINAL = CloudWatchBackend.get_metric_statistics
ORIGINAL_ALL, ORIGINAL_DATA = CloudWatchBackend.get_all_metrics, CloudWatchBackend.get_metric_data
ORIGINAL_TYPE = Statistics.get_statistics_for_type


def install(cloud: Cloud) -> None:
    """Have statistics be of exactly one metric, and know percentiles."""
    setattr(CloudWatchBackend, "get_metric_statistics", _get_metric_statistics)  # noqa: B010
    setattr(CloudWatchBackend, "get_all_metrics", _get_all_metrics)  # noqa: B010
    setattr(CloudWatchBackend, "get_metric_data", _get_metric_data)  # noqa: B010
    setattr(Statistics, "get_statistics_for_type", _get_statistics_for_type)  # noqa: B010


def _get_all_metrics(self: CloudWatchBackend) -> Any:
    """Return all metrics with their times as moto's own have them, in UTC without saying so."""
    found = ORIGINAL_ALL(self)
    for each in found:
        each.timestamp = _plain(each.timestamp)
    return found


def _get_metric_data(
    self: CloudWatchBackend, queries: Any, start_time: datetime, end_time: datetime, scan_by: str = "TimestampAscending"
) -> Any:
    return ORIGINAL_DATA(self, queries, _plain(start_time), _plain(end_time), scan_by)


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _get_metric_statistics(
    self: CloudWatchBackend,
    namespace: str,
    metric_name: str,
    start_time: datetime,
    end_time: datetime,
    period: int,
    stats: list[str],
    dimensions: list[dict[str, str]],
    unit: str | None = None,
) -> list[Statistics]:
    asked = {each["Name"]: each["Value"] for each in dimensions}
    data = [each for each in self.get_all_metrics() if {d.name: d.value for d in each.dimensions} == asked]
    only = SimpleNamespace(get_all_metrics=lambda: data)  # all that moto's method asks of its backend
    start_time, end_time = _plain(start_time), _plain(end_time)
    return ORIGINAL(only, namespace, metric_name, start_time, end_time, period, stats, dimensions, unit)  # type: ignore[arg-type]


def _get_statistics_for_type(self: Statistics, stat: str) -> Any:
    match = PERCENTILE.fullmatch(stat)
    if match is None:
        return ORIGINAL_TYPE(self, stat)
    values = [each.value for each in self.metric_data if isinstance(each, MetricDatum)]
    return percentile(values, float(match[1]))
