"""API keys and usage plans: who may ask, how fast, how often.

A plan's throttle is a token bucket and its quota a count, each for one key ("Usage plans and API keys for REST APIs",
Amazon API Gateway Developer Guide). On AWS both are best effort; here they are exact.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.apigateway.refusals import Refused


@dataclass(kw_only=True)
class Bucket:
    """Tokens that come at ``rate`` a second, ``burst`` at most."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self._at = self.burst, time.monotonic()

    def take(self) -> bool:
        """Take a token; False when there is none."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self._at) * self.rate)
        self._at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Usage:
    """Counts what keys and methods use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[Any, Bucket] = {}
        self._used: dict[Any, int] = {}

    def admit(self, backend: Any, api: str, stage: str, value: str) -> Any:
        """Return moto's key whose value was sent, after its plan's throttle and quota.

        Raises:
            Refused: INVALID_API_KEY, THROTTLED or QUOTA_EXCEEDED.
        """
        key = next((key for key in backend.keys.values() if value and key.value == value), None)
        plan = _plan(backend, key.id, api, stage) if key is not None and key.enabled else None
        if key is None or plan is None:
            raise Refused("INVALID_API_KEY")
        self._throttle((plan.id, key.id), plan.throttle)
        self._count((plan.id, key.id), plan.quota)
        return key

    def throttle_method(self, stage: Any, method: Any) -> None:
        """Hold a method to the limits that its stage sets.

        Raises:
            Refused: THROTTLED.
        """
        name = f"{method.pattern.replace('/', '~1')}/{method.verb}"
        limits = stage.method_settings.get(name) or stage.method_settings.get("*/*")
        if limits:
            given = {"rateLimit": limits["throttlingRateLimit"], "burstLimit": limits["throttlingBurstLimit"]}
            self._throttle((id(stage), name), given)

    def _throttle(self, who: Any, limits: Mapping[str, Any]) -> None:
        if not limits:
            return
        rate, burst = float(limits.get("rateLimit") or 0), float(limits.get("burstLimit") or 0)
        with self._lock:
            bucket = self._buckets.get(who)
            if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
                bucket = self._buckets[who] = Bucket(rate=rate, burst=burst)
            admitted = bucket.take()
        if not admitted:
            raise Refused("THROTTLED")

    def _count(self, who: Any, quota: Mapping[str, Any]) -> None:
        if not quota:
            return
        now = (*who, _period(str(quota["period"]), datetime.datetime.now(datetime.UTC).date()))
        with self._lock:
            used = self._used.get(now, int(quota.get("offset") or 0))
            self._used[now] = min(used + 1, int(quota["limit"]))
        if used >= int(quota["limit"]):
            raise Refused("QUOTA_EXCEEDED")


def _plan(backend: Any, key_id: str, api: str, stage: str) -> Any:
    for plan in backend.get_usage_plans(key_id):
        if any(each["apiId"] == api and each["stage"] == stage for each in plan.api_stages):
            return plan
    return None


def _period(period: str, today: datetime.date) -> str:
    """Return the name of the day, the week (which begins on Sunday) or the month that it is, in UTC."""
    if period == "DAY":
        return today.isoformat()
    if period == "WEEK":
        return (today - datetime.timedelta(days=today.isoweekday() % 7)).isoformat()
    return today.strftime("%Y-%m")
