"""Whether anybody asks an endpoint: the requests that CloudWatch has counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from contract import sleeping
from functions.live import in_service_since
from functions.rollout import CHALLENGER, VARIANT
from functions.shared import client

PERIOD = 3600
"""Seconds: the hour that the time begins in counts whole, so that a model sleeps later rather than too soon."""


def is_idle(row: dict[str, Any], now: datetime) -> bool:
    """Say whether a champion that falls asleep when nobody asks has not been asked for that long."""
    hours = sleeping.idle_hours(row.get("sleep", ""))
    if hours is None or row.get("asleep"):
        return False
    then = now - timedelta(hours=hours)
    made = in_service_since(row["endpoint"])
    if made is None or _requests(row["endpoint"], then, now):
        return False
    return max(made, datetime.fromisoformat(row["since"])) <= then


def _requests(endpoint: str, start: datetime, end: datetime) -> float:
    """Return how often an endpoint's variants were asked; one that nobody asks has no metric."""
    queries = [
        {
            "Id": variant.lower(),
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": "Invocations",
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": endpoint},
                        {"Name": "VariantName", "Value": variant},
                    ],
                },
                "Period": PERIOD,
                "Stat": "Sum",
            },
        }
        for variant in (VARIANT, CHALLENGER)
    ]
    whole = start.replace(minute=0, second=0, microsecond=0)
    answer = client("cloudwatch").get_metric_data(MetricDataQueries=queries, StartTime=whole, EndTime=end)
    return sum(sum(each["Values"]) for each in answer["MetricDataResults"])
