"""Events reach functions, state machines and topics.

AWS delivers to every target of a matching, enabled rule, in the background, with
retries and a dead-letter queue. moto knows log groups, queues and buses only,
raises for any other target, lacks ``wildcard``, ignores Input, InputPath,
RetryPolicy and DeadLetterConfig, and does it all while PutEvents waits. Here
everything that moto would send to a rule's targets goes to ``local.events``. Nor does moto fire a rule with a schedule:
``local/event_schedules.py`` does.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import Rule

from local import events
from local.event_schedules import Schedules

if TYPE_CHECKING:
    from local.cloud import Cloud


def _envelope(event: Any) -> dict[str, Any]:
    """Make moto's event look as targets see it: time as text, no ingestion time."""
    moment = event.get("time")
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {name: value for name, value in event.items() if name != "ingestion-time"}
    return {**kept, "id": event.get("id") or str(uuid.uuid4()), "time": moment}


def install(cloud: Cloud) -> None:
    """Replace the delivery of rules; archives stay moto's."""

    def send_to_targets(self: Rule, original_event: Any, transform_input: bool = True) -> None:
        events.offer(cloud, self, _envelope(original_event))

    setattr(Rule, "send_to_targets", send_to_targets)  # noqa: B010
    Schedules(cloud).start()
