"""When an alarm goes off: a pure judgement of the last datapoints.

Source: "Configuring how CloudWatch alarms treat missing data" in the CloudWatch user guide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
EXTRA_POINTS = 2  # CloudWatch looks a little further back than the alarm says, lest a late point be missed
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one alarm asks of its datapoints.

    Args:
        comparison: a key of COMPARISONS.
        threshold: what a datapoint is compared with.
        periods: how many of the last datapoints count.
        needed: how many of them must be across the threshold.
        missing: "breaching", "notBreaching", "ignore" or "missing".
    """

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"

    @property
    def looks_back(self) -> int:
        """How many periods are looked at."""
        return self.periods + EXTRA_POINTS

    def breaches(self, value: float) -> bool:
        """Say whether a datapoint is across the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


def judge(rule: Rule, points: Sequence[float | None], state: str) -> str:
    """Return the state that follows ``state``.

    Args:
        rule: of the alarm.
        points: ``rule.looks_back`` datapoints, the latest first; None where nothing was sent.
        state: the alarm's state before.
    """
    there = [rule.breaches(point) for point in points if point is not None]
    if not there:
        return {"breaching": ALARM, "notBreaching": OK, "ignore": state}.get(rule.missing, INSUFFICIENT_DATA)
    lacking = max(0, rule.periods - len(there))
    breaching = sum(there[: rule.periods]) + lacking * (rule.missing == "breaching")
    if breaching >= rule.needed:
        return ALARM
    if not lacking or rule.missing in ("breaching", "notBreaching") or not any(there):
        return OK
    return state if rule.missing == "ignore" else _judge_a_gap(rule, points)


def _judge_a_gap(rule: Rule, points: Sequence[float | None]) -> str:
    """Judge breaching points that are too few because others are missing: old enough, they count as enough."""
    oldest = max(place for place, point in enumerate(points) if point is not None and rule.breaches(point))
    calm = any(point is not None and not rule.breaches(point) for point in points[:oldest])
    return ALARM if oldest + 1 >= rule.needed and not calm else OK
