"""Structured logs: one JSON object a line, and never a payload.

A log line says what happened, not what was sent: refused requests are logged
by status and type, unexpected errors by their class and stack, without the
error's text, which may quote a value of the request.
"""

from __future__ import annotations

import datetime
import logging
import math
import sys
import time
import traceback
from typing import Any

import orjson

logger = logging.getLogger("serving")
LINES = 100  # that may come at once, before the rate holds


class Rate:
    """Lets ``per_second`` lines through, and counts those that it does not: logs cost money, and time.

    Args:
        per_second: lines; infinity for all.
    """

    def __init__(self, per_second: float = math.inf) -> None:
        self._per_second, self._left, self._at, self.dropped = per_second, float(LINES), time.monotonic(), 0

    def lets_through(self) -> bool:
        """Whether one more line may be written; one that may not is counted."""
        if self._per_second == math.inf:
            return True
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._per_second, LINES)
        self._at = now
        if self._left < 1:
            self.dropped += 1
            return False
        self._left -= 1
        return True

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last time."""
        dropped, self.dropped = self.dropped, 0
        return dropped


_rate = Rate()


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields; those below a warning as far as the rate lets them."""
    if level < logging.WARNING and not (logger.isEnabledFor(level) and _rate.lets_through()):
        return
    if _rate.dropped:
        fields["lines_dropped"] = _rate.take_dropped()
    logger.log(level, name, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, event, the event's fields, the stack of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = traceback.format_tb(record.exc_info[2])
        return orjson.dumps(line, default=str).decode()


def configure(per_second: float = math.inf) -> None:
    """Send every log line of the process to standard output as JSON.

    Args:
        per_second: lines below a warning, of requests mostly.
    """
    global _rate
    _rate = Rate(per_second)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logger.setLevel(logging.INFO)
