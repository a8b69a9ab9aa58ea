"""A rule whose pattern EventBridge would refuse is refused.

AWS checks a pattern when the rule is put. moto accepts any operator's name, so a
misspelt one never matches and nobody learns why; its TestEventPattern says
nothing at all. A schedule that cannot be read is refused, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.events.exceptions import InvalidEventPatternException, ValidationException
from moto.events.models import EventsBackend, Rule
from moto.events.responses import EventsHandler

from local import schedules
from local.event_pattern import check, matches

if TYPE_CHECKING:
    from local.cloud import Cloud


def _checked(pattern: str) -> dict[str, Any]:
    try:
        parsed = json.loads(pattern)
        check(parsed)
    except ValueError as error:
        raise InvalidEventPatternException(
            reason=str(error).removeprefix("Event pattern is not valid. Reason: ")
        ) from error
    return dict(parsed)


def _scheduled(expression: str) -> None:
    try:
        schedules.times(expression)
    except schedules.BadSchedule as error:
        raise ValidationException("Parameter ScheduleExpression is not valid.") from error


def install(cloud: Cloud) -> None:
    """Check patterns in PutRule and answer TestEventPattern."""
    put = EventsBackend.put_rule

    def put_rule(self: EventsBackend, name: str, *args: Any, **kwargs: Any) -> Rule:
        if kwargs.get("event_pattern"):
            _checked(kwargs["event_pattern"])
        if kwargs.get("scheduled_expression"):
            _scheduled(kwargs["scheduled_expression"])
        return put(self, name, *args, **kwargs)

    def test_event_pattern(self: EventsHandler) -> str:
        pattern = _checked(self._get_param("EventPattern"))
        return json.dumps({"Result": matches(pattern, json.loads(self._get_param("Event")))})

    setattr(EventsBackend, "put_rule", put_rule)  # noqa: B010
    setattr(EventsHandler, "test_event_pattern", test_event_pattern)  # noqa: B010
