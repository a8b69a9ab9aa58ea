"""EventBridge's schedules: a rule with a rate or a cron expression sends its event when it is due.

A rate is a wait, and follows the cloud's clock; cron expressions are times of day, and do not.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import Rule, events_backends

from local import events, schedules

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS, SHORTEST_LOOK = 10.0, 0.1  # of the clock; real seconds
log = logging.getLogger(__name__)


class Schedules:
    """Fires the scheduled rules of the default bus while the cloud runs; other buses have none.

    Args:
        cloud: whose rules.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._seen: dict[str, tuple[str, datetime]] = {}  # by ARN: the expression, and when it was first seen
        self._looked = datetime.now(UTC)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="schedules")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()
        self.cloud.on_stop(self._thread.join)

    def look(self, now: datetime) -> None:
        """Send the events that became due since the last look."""
        before, self._looked = self._looked, now
        bus = events_backends[self.cloud.account][self.cloud.region].describe_event_bus("default")
        for rule in list(bus.rules.values()):
            if rule.scheduled_expression and self._is_due(rule, before, now) and rule.state == "ENABLED":
                log.info("rule %s is due", rule.name)
                events.send(self.cloud, rule, self._event(rule))

    def _watch(self) -> None:
        wait = max(self.cloud.clock.seconds(LOOK_SECONDS), SHORTEST_LOOK)
        while not self.cloud.stopping.wait(wait):
            try:
                self.look(datetime.now(UTC))
            except Exception:  # of one look: the next one may go well
                log.exception("the laptop cloud failed at schedules")

    def _is_due(self, rule: Rule, before: datetime, now: datetime) -> bool:
        expression, made = self._seen.get(rule.arn, ("", now))
        if expression != rule.scheduled_expression:
            self._seen[rule.arn] = (rule.scheduled_expression or "", now)
            return False
        return is_due(expression, made, before, now, self.cloud.clock.scale)

    def _event(self, rule: Rule) -> dict[str, Any]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return events.envelope(self.cloud, "aws.events", "Scheduled Event", {}, [rule.arn], moment)


def is_due(expression: str, made: datetime, before: datetime, now: datetime, scale: float) -> bool:
    """Say whether a schedule that was made at some time is due after ``before``, and not after ``now``."""
    fires = schedules.times(expression)
    if expression.startswith("rate"):
        before, now = made + (before - made) / scale, made + (now - made) / scale
    return fires(made, before, now)
