"""Faults of events: not delivered, delivered again, delivered late."""

from __future__ import annotations

import json
from typing import Any

from local.chaos.faults import EventFault, LateEvent, LostEvent, RepeatedEvent
from local.chaos.lab import LAB


def waits(event: dict[str, Any], target: str) -> list[float]:
    """Return, for each delivery of an event to a target, how long it waits before (seconds of the definitions)."""
    if not LAB.waits(EventFault):
        return [0.0]
    detail = json.dumps(event["detail"], default=str)
    fault = LAB.take(EventFault, type=event["detail-type"], detail=detail, target=target)
    if isinstance(fault, LostEvent):
        return []
    if isinstance(fault, LateEvent):
        return [fault.seconds]
    return [0.0] * (1 + fault.copies) if isinstance(fault, RepeatedEvent) else [0.0]
