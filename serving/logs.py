"""Structured logs: one JSON object a line, and never a payload.

A log line says what happened, not what was sent: refused requests are logged
by status and type, unexpected errors by their class and stack, without the
error's text, which may quote a value of the request.
"""

from __future__ import annotations

import datetime
import logging
import sys
import traceback
from typing import Any

import orjson

logger = logging.getLogger("serving")


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields."""
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


def configure() -> None:
    """Send every log line of the process to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logger.setLevel(logging.INFO)
