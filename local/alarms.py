"""CloudWatch alarms that go off: evaluated against the metrics, told to EventBridge and to their actions.

An alarm is looked at every ten seconds of the cloud's clock; its periods end at that moment. They follow the clock
too: at a scale of 0.02 an alarm on a minute looks at 1.2 seconds of requests.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.cloudwatch.models import Alarm, cloudwatch_backends

from local import events, metric_math
from local.alarm_rules import COMPARISONS, Rule, judge
from local.delivery import UnsupportedTarget, deliver
from local.metrics import Metrics

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS, SHORTEST_LOOK = 10.0, 0.1  # of the clock; real seconds
SHORTEST_PERIOD = 0.5  # real seconds, however fast the clock: requests are real work
log = logging.getLogger(__name__)


class Alarms:
    """Evaluates the alarms of the cloud while it runs.

    Args:
        cloud: whose alarms.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._backend = cloudwatch_backends[cloud.account][cloud.region]
        self._metrics = Metrics(self._backend)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="alarms")

    def start(self) -> None:
        """Begin to look at them."""
        self._thread.start()
        self.cloud.on_stop(self._thread.join)

    def evaluate(self) -> None:
        """Look at each alarm once."""
        self._metrics.refresh()
        moment = time.time()
        for alarm in list(self._backend.alarms.values()):
            try:
                self._evaluate(alarm, moment)
            except Exception:  # of one alarm: the others are looked at all the same
                log.exception("the laptop cloud failed at alarm %s", alarm.name)

    def _evaluate(self, alarm: Alarm, moment: float) -> None:
        rule = rule_of(alarm)
        period = real_period(self.cloud, period_of(alarm))
        points = list(self._points(alarm, rule, period, moment))
        state = judge(rule, points, alarm.state_value)
        if state != alarm.state_value:
            alarm.update_state(reason(rule, points, state), reason_data(alarm, rule, points), state)

    def _watch(self) -> None:
        wait = max(self.cloud.clock.seconds(LOOK_SECONDS), SHORTEST_LOOK)
        while not self.cloud.stopping.wait(wait):
            self.evaluate()

    def _points(self, alarm: Alarm, rule: Rule, period: float, moment: float) -> Iterator[float | None]:
        """Yield a datapoint for each period, the latest first."""
        for number in range(rule.looks_back):
            yield self._value(alarm, moment - (number + 1) * period, moment - number * period)

    def _value(self, alarm: Alarm, start: float, end: float) -> float | None:
        if not alarm.metric_data_queries:
            dimensions = {str(each.name): str(each.value) for each in alarm.dimensions}
            statistic = alarm.extended_statistic or alarm.statistic
            return self._metrics.statistic(alarm.namespace, alarm.metric_name, dimensions, statistic, start, end)
        stats = {query.id: query.metric_stat for query in alarm.metric_data_queries if query.metric_stat}
        values = {
            name: self._metrics.statistic(
                stat.metric.namespace,
                stat.metric.metric_name,
                {str(each.name): str(each.value) for each in stat.metric.dimensions},
                stat.stat,
                start,
                end,
            )
            for name, stat in stats.items()
        }
        for query in alarm.metric_data_queries:  # an expression may name one that stands before it
            if query.expression:
                values[query.id] = metric_math.evaluate(metric_math.parse(query.expression), values)
        return values[returned(alarm).id]


def returned(alarm: Alarm) -> Any:
    """Return the query of a metric-math alarm whose value is compared."""
    asked = [query for query in alarm.metric_data_queries if query.return_data not in (False, "false")]
    return asked[0]


def period_of(alarm: Alarm) -> float:
    """Return the seconds of one datapoint."""
    stats = [query.metric_stat.period for query in alarm.metric_data_queries if query.metric_stat]
    return float(stats[0] if stats else alarm.period)


def real_period(cloud: Cloud, seconds: float) -> float:
    """Return how long a period lasts by the real clock."""
    return max(cloud.clock.seconds(seconds), SHORTEST_PERIOD)


def rule_of(alarm: Alarm) -> Rule:
    """Return what the alarm asks of its datapoints."""
    periods = int(alarm.evaluation_periods)
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        periods=periods,
        needed=int(alarm.datapoints_to_alarm or periods),
        missing=alarm.treat_missing_data or "missing",
    )


def reason(rule: Rule, points: list[float | None], state: str) -> str:
    """Say in CloudWatch's words why the state changes."""
    there = [point for point in points if point is not None][: rule.periods]
    if not there:
        return f"No datapoints were received for {rule.periods} period(s); missing data is treated as {rule.missing}"
    words = COMPARISONS[rule.comparison][1]
    across = state == "ALARM"
    counted = [point for point in there if rule.breaches(point) == across]
    verb = "were" if len(counted) != 1 else "was"
    shown = ", ".join(f"{point:g}" for point in counted)
    return (
        f"Threshold Crossed: {len(counted)} out of the last {rule.periods} datapoints [{shown}] {verb} "
        f"{'' if across else 'not '}{words} the threshold ({rule.threshold:g})."
    )


def reason_data(alarm: Alarm, rule: Rule, points: list[float | None]) -> str:
    """Return StateReasonData."""
    recent = [point for point in points if point is not None][: rule.periods]
    data = {
        "version": "1.0",
        "queryDate": _iso(datetime.now(UTC)),
        "period": int(period_of(alarm)),
        "recentDatapoints": recent[::-1],
        "threshold": rule.threshold,
    }
    return json.dumps(data)


def announce(cloud: Cloud, alarm: Alarm, before: dict[str, str]) -> None:
    """Tell EventBridge and the alarm's actions that its state is not ``before`` any more."""
    after = state_of(alarm)
    detail = {
        "alarmName": alarm.name,
        "configuration": {
            "metrics": _metrics(alarm),
            **({"description": alarm.description} if alarm.description else {}),
        },
        "previousState": before,
        "state": after,
    }
    events.publish(
        cloud,
        source="aws.cloudwatch",
        detail_type="CloudWatch Alarm State Change",
        detail=detail,
        resources=[alarm.alarm_arn],
    )
    if alarm.actions_enabled not in (False, "false"):
        for arn in _actions(alarm, after["value"]):
            if ":scalingPolicy:" in arn:
                continue  # scaling looks at its alarms itself
            cloud.spawn(_act, cloud, alarm, arn, before, detail, name=f"alarm-{alarm.name}")


def state_of(alarm: Alarm) -> dict[str, str]:
    """Return the state as events show it."""
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": _iso(alarm.state_updated_timestamp),
    }


def _actions(alarm: Alarm, state: str) -> list[str]:
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[state]
    return list(actions or [])


def _act(cloud: Cloud, alarm: Alarm, arn: str, before: dict[str, str], detail: dict[str, Any]) -> None:
    message: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": cloud.account,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _iso(alarm.state_updated_timestamp),
        "Region": cloud.region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before["value"],
        "Trigger": {"MetricName": alarm.metric_name, "Namespace": alarm.namespace, "Threshold": alarm.threshold},
    }
    if ":lambda:" in arn:
        message = {"source": "aws.cloudwatch", "alarmArn": alarm.alarm_arn, "accountId": cloud.account,
                   "time": _iso(datetime.now(UTC)), "region": cloud.region, "alarmData": detail}  # fmt: skip
    try:
        deliver(cloud, arn, json.dumps(message), service="cloudwatch.amazonaws.com")
    except (ClientError, BotoCoreError, UnsupportedTarget) as error:
        log.error("action of alarm %s not done: %s: %s", alarm.name, arn, error)


def _metrics(alarm: Alarm) -> list[dict[str, Any]]:
    """Return the metrics of an alarm as events show them."""
    if not alarm.metric_data_queries:
        dimensions = {each.name: each.value for each in alarm.dimensions}
        metric = {"namespace": alarm.namespace, "name": alarm.metric_name, "dimensions": dimensions}
        stat = {"metric": metric, "period": int(alarm.period), "stat": alarm.extended_statistic or alarm.statistic}
        return [{"id": str(uuid.uuid4()), "metricStat": stat, "returnData": True}]
    shown: list[dict[str, Any]] = []
    for query in alarm.metric_data_queries:
        entry: dict[str, Any] = {"id": query.id, "returnData": query is returned(alarm)}
        if query.metric_stat:
            one = query.metric_stat.metric
            metric = {"namespace": one.namespace, "name": one.metric_name}
            metric["dimensions"] = {each.name: each.value for each in one.dimensions}
            entry["metricStat"] = {
                "metric": metric,
                "period": int(query.metric_stat.period),
                "stat": query.metric_stat.stat,
            }
        else:
            entry["expression"] = query.expression
        shown.append(entry)
    return shown


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
