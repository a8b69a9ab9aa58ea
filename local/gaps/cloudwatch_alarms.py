"""Gap: alarms never go off.

AWS evaluates an alarm against its metrics, begins with INSUFFICIENT_DATA, and tells EventBridge and the alarm's
actions of each change. moto keeps alarms, in OK for ever, unless SetAlarmState is called, and tells nobody. Closed by
``local/{metrics,metric_math,alarm_rules,alarms}.py``.

Not emulated, and refused: composite alarms, anomaly detection, Metrics Insights. Of AWS's own metrics there are those
of SageMaker endpoints and Lambda; alarms on others have no data. Actions reach topics, functions and queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend

from local import metric_math
from local.alarms import Alarms, announce, returned, state_of
from local.metrics import PERCENTILE, STATISTICS

if TYPE_CHECKING:
    from local.cloud import Cloud

PUT, UPDATE = CloudWatchBackend.put_metric_alarm, Alarm.update_state


def install(cloud: Cloud) -> None:
    """Check and evaluate alarms, and tell of their changes."""

    def put_metric_alarm(self: CloudWatchBackend, name: str, *args: Any, **request: Any) -> Alarm:
        before = self.alarms.get(name)
        alarm = PUT(self, name, *args, **request)
        try:
            _check(alarm)
        except ValidationError:
            del self.alarms[name]
            if before:
                self.alarms[name] = before
            raise
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:  # a changed alarm stays in its state until it is looked at again
            alarm.state_value, alarm.history = before.state_value, before.history
            alarm.state_reason, alarm.state_reason_data = before.state_reason, before.state_reason_data
            alarm.state_updated_timestamp = before.state_updated_timestamp
        return alarm

    def update_state(self: Alarm, reason: str, reason_data: str, state_value: str) -> None:
        before = state_of(self)
        UPDATE(self, reason, reason_data or "{}", state_value)
        if before["value"] != state_value:
            announce(cloud, self, before)

    setattr(CloudWatchBackend, "put_metric_alarm", put_metric_alarm)  # noqa: B010
    setattr(Alarm, "update_state", update_state)  # noqa: B010
    Alarms(cloud).start()


def _check(alarm: Alarm) -> None:
    """Raise ValidationError for an alarm that could never be evaluated here."""
    if alarm.threshold_metric_id is not None or alarm.threshold is None:
        raise ValidationError(_not_emulated("an alarm on an anomaly detection band"))
    if not alarm.metric_data_queries:
        _check_statistic(alarm.extended_statistic or alarm.statistic)
        return
    known: set[str] = set()
    for query in alarm.metric_data_queries:
        if query.metric_stat:
            _check_statistic(query.metric_stat.stat)
            known.add(query.id)
    for query in alarm.metric_data_queries:
        if query.expression:
            _check_expression(query.expression, known)
            known.add(query.id)
    if sum(query.return_data not in (False, "false") for query in alarm.metric_data_queries) != 1:
        raise ValidationError("Exactly one element of the metrics list should return data.")
    assert returned(alarm).id in known


def _check_statistic(name: str | None) -> None:
    if name is None:
        raise ValidationError("Statistic or ExtendedStatistic must be given")
    if name not in STATISTICS and not PERCENTILE.fullmatch(name):
        raise ValidationError(_not_emulated(f"the statistic {name}"))


def _check_expression(text: str, known: set[str]) -> None:
    try:
        missing = metric_math.names(metric_math.parse(text)) - known
    except metric_math.NotUnderstood as error:
        raise ValidationError(_not_emulated(f"metric math: {error}")) from error
    if missing:
        raise ValidationError(f"The expression {text} names {', '.join(sorted(missing))}, which is not there before it")


def _not_emulated(what: str) -> str:
    return f"{what} is not emulated by the laptop cloud (docs/local-gaps.md)"
