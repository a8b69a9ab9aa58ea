"""Schedules as AWS writes them: ``at(...)``, ``rate(...)`` and ``cron(...)``.

Source: "Schedule recurring scaling actions using cron expressions" of the Application Auto Scaling user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (1, 7, DAYS), (1970, 2199, ()))


class BadSchedule(ValueError):
    """A schedule that cannot be read, or that the laptop cloud does not know; the message says which part."""


def times(text: str, zone: str = "UTC") -> Callable[[datetime, datetime, datetime], bool]:
    """Return a function that says whether a schedule fires after one moment and not after another.

    It takes the moment when the schedule was made, and the two moments (all with a zone).

    Raises:
        BadSchedule: for text that is no schedule.
    """
    if match := re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", text):
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=ZoneInfo(zone))
        return lambda made, after, until: after < moment <= until
    if match := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", text):
        seconds = int(match[1]) * UNITS[match[2]]
        return lambda made, after, until: (
            (after - made).total_seconds() // seconds < ((until - made).total_seconds() // seconds)
        )
    if match := re.fullmatch(r"cron\((.+)\)", text):
        fields = _cron(match[1])
        return lambda made, after, until: _fires(fields, after.astimezone(ZoneInfo(zone)), until)
    raise BadSchedule(f"{text!r} is no schedule: expected at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)")


def _fires(fields: list[set[int]], after: datetime, until: datetime) -> bool:
    """Say whether a minute that begins in (after, until] fits all fields; at most a day is looked at."""
    minute = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(24 * 60):
        if minute.astimezone(UTC) > until.astimezone(UTC):
            return False
        weekday = minute.isoweekday() % 7 + 1
        if all(
            value in field
            for value, field in zip(
                (minute.minute, minute.hour, minute.day, minute.month, weekday, minute.year), fields, strict=True
            )
        ):
            return True
        minute += timedelta(minutes=1)
    return False


def _cron(text: str) -> list[set[int]]:
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise BadSchedule(f"cron({text}) must have 6 fields: minutes hours day-of-month month day-of-week year")
    return [_field(part, low, high, names) for part, (low, high, names) in zip(parts, FIELDS, strict=True)]


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    allowed: set[int] = set()
    for part in text.upper().split(","):
        match = re.fullmatch(r"(\*|\?|[A-Z]{3}|\d+)(?:-([A-Z]{3}|\d+))?(?:/(\d+))?", part)
        if match is None:
            raise BadSchedule(f"{part!r} in a cron expression is not known to the laptop cloud (L, W and # are not)")
        start = low if match[1] in "*?" else _number(match[1], low, names)
        end = _number(match[2], low, names) if match[2] else high if match[1] in "*?" or match[3] else start
        if not low <= start <= end <= high:
            raise BadSchedule(f"{part!r} in a cron expression is outside {low} to {high}")
        allowed |= set(range(start, end + 1, int(match[3] or 1)))
    return allowed


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    if text not in names:
        raise BadSchedule(f"{text!r} in a cron expression is no name of {', '.join(names) or 'a number'}")
    return names.index(text) + low
