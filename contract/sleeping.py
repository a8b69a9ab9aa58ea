"""Sleeping hours: when a model's endpoint is to be gone, because a real-time endpoint has no stop button.

What a person or a deployment does by hand holds until the next boundary of the hours; from then on they decide again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from contract.errors import InvalidConfig, nearest

HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")
IDLE = re.compile(r"idle ([1-9]\d{0,2})h")
SLEEPS = "realtime"
"""The one target that is put to sleep: asynchronous endpoints scale to zero, the others cost nothing when idle."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """Hours of every day, by the clock of a place; they may go over midnight.

    Args:
        begin: when the model falls asleep.
        end: when it wakes.
        zone: whose clock.
    """

    begin: time
    end: time
    zone: tzinfo

    @classmethod
    def of(cls, text: str, zone: str) -> Hours:
        """Read ``20:00-07:00`` and a name such as ``Europe/Rome``.

        Raises:
            InvalidConfig: for a text that is not of that form, and for an unknown name.
        """
        match = HOURS.fullmatch(text)
        if match is None or match[1] == match[2]:
            raise InvalidConfig("deploy.sleep", text, "two times of day as 20:00-07:00, or 'idle 6h'")
        begin, end = (time.fromisoformat(each) for each in match.groups())
        return cls(begin=begin, end=end, zone=_zone(zone))

    def asleep(self, now: datetime) -> bool:
        """Say whether ``now`` is within the hours."""
        return max(moment for moment in self._boundaries(now) if moment[0] <= now)[1]

    def boundary(self, now: datetime) -> datetime:
        """Return when they begin or end next."""
        return min(moment for moment in self._boundaries(now) if moment[0] > now)[0]

    def waking(self, now: datetime) -> datetime:
        """Return when they end next."""
        return min(moment for moment, begins in self._boundaries(now) if moment > now and not begins)

    def falls(self, now: datetime) -> datetime:
        """Return when they begin next."""
        return min(moment for moment, begins in self._boundaries(now) if moment > now and begins)

    def _boundaries(self, now: datetime) -> list[tuple[datetime, bool]]:
        """Return the moments around ``now`` at which they begin (True) or end (False)."""
        today = now.astimezone(self.zone).date()
        days = [today + timedelta(days=number) for number in (-1, 0, 1, 2)]
        kinds = ((self.begin, True), (self.end, False))
        return [
            (datetime.combine(day, each, self.zone).astimezone(UTC), begins) for day in days for each, begins in kinds
        ]


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # needs no data of the system
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder's name, or a path, is no zone either
        allowed = "a name of the IANA time zone database, such as Europe/Rome"
        hint = nearest(name, available_timezones())
        raise InvalidConfig("deploy.sleep_timezone", name, allowed, hint) from error


def idle_hours(text: str) -> int | None:
    """Return after how many hours without a request a model falls asleep (``idle 6h``); None where that is not said."""
    match = IDLE.fullmatch(text)
    return int(match[1]) if match else None


def hours_of(row: Mapping[str, Any]) -> Hours | None:
    """Return the sleeping hours of a champion's row; None where it has none."""
    text = row.get("sleep")
    return Hours.of(text, row["sleep_timezone"]) if text and not idle_hours(text) else None


def wanted(row: Mapping[str, Any], now: datetime) -> bool | None:
    """Say whether a champion is to be asleep; None where its hours do not decide now."""
    hours = hours_of(row)
    held = row.get("held_until")
    if hours is None or (held and now < datetime.fromisoformat(held)):
        return None
    return hours.asleep(now)


def held_until(hours: Hours | None, now: datetime) -> str:
    """Return until when holds what is done by hand now, in ISO 8601; empty where no hours ever decide."""
    return hours.boundary(now).isoformat() if hours else ""


def wakes(row: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when a sleeping champion wakes by its hours, by their clock; None where somebody must wake it."""
    hours = hours_of(row)
    return hours.waking(now).astimezone(hours.zone) if hours else None


def told(row: Mapping[str, Any], now: datetime) -> str:
    """Return the sentence that says that a champion sleeps, and until when."""
    moment = wakes(row, now)
    until = f"until {moment:%Y-%m-%d %H:%M} ({row['sleep_timezone']})" if moment else "until somebody wakes it"
    return f"The model sleeps {until}."
