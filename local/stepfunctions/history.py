"""What GetExecutionHistory returns: every event of an execution, in order.

Event types and fields are those of the API reference, "HistoryEvent". Each
branch follows its own chain of ``previousEventId``.
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any


def dumps(value: Any) -> str:
    """JSON as Step Functions writes it: compact, unicode as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def now() -> datetime.datetime:
    """The current time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def iso(moment: datetime.datetime) -> str:
    """A time as the context object shows it: ``2026-01-31T12:00:00.123Z``."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class History:
    """The events of one execution; safe to read while it runs.

    Args:
        listener: hears of each event as it happens.
    """

    def __init__(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []

    def add(self, kind: str, previous: int, details: dict[str, Any] | None = None) -> int:
        """Append an event and return its id.

        Args:
            kind: event type, e.g. ``TaskStateEntered``.
            previous: id of the event before it in its branch.
            details: the fields of its details structure; None for an event without one.
        """
        with self._lock:
            event: dict[str, Any] = {
                "id": len(self._events) + 1,
                "previousEventId": previous,
                "type": kind,
                "timestamp": now(),
            }
            if details is not None:
                event[_details_field(kind)] = {key: value for key, value in details.items() if value is not None}
            self._events.append(event)
        self._listener(event)
        return int(event["id"])

    def restore(self, events: list[dict[str, Any]]) -> None:
        """Begin with the events of another history; the listener does not hear of them."""
        with self._lock:
            self._events = list(events)

    def events(self) -> list[dict[str, Any]]:
        """Return the events so far."""
        with self._lock:
            return list(self._events)


class Trail:
    """One branch's chain of events.

    Args:
        history: where they go.
        previous: id of the event before the first one.
    """

    def __init__(self, history: History, previous: int = 0) -> None:
        self.history, self.last = history, previous

    def add(self, kind: str, details: dict[str, Any] | None = None) -> int:
        """Append an event after the branch's last one and return its id."""
        self.last = self.history.add(kind, self.last, details)
        return self.last

    def branch(self) -> Trail:
        """Return a chain that starts at this one's last event."""
        return Trail(self.history, self.last)


def data(field: str, value: Any) -> dict[str, Any]:
    """Return a payload with its ``...Details``, as events carry them."""
    return {field: dumps(value), f"{field}Details": {"truncated": False}}


def _details_field(kind: str) -> str:
    if kind.endswith("StateEntered"):
        return "stateEnteredEventDetails"
    if kind.endswith("StateExited"):
        return "stateExitedEventDetails"
    return kind[0].lower() + kind[1:] + "EventDetails"
