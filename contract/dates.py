"""How a date among the columns of a table becomes numbers: the same in preparation and in the server.

A date is ISO 8601, as :mod:`contract.timeline` reads it, and may have fractions of a second, which are not looked at.
It becomes several numbers, the *parts*: days since 1970, for what changes with the years, and where it lies
in its year and its week, each as a point on a circle, so that December is next to January. Where times of day
occur, the seconds since midnight and a circle for the day are added. :func:`from_parts` turns them back.

The years 0000, 0001 and 9999 are what programs write where there is no date: the value is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from contract.timeline import DAY, YEAR, to_seconds, to_text

DAYS, SECONDS = "days", "seconds"
DATE_PARTS = (DAYS, "year_sin", "year_cos", "week_sin", "week_cos")
TIME_PARTS = (SECONDS, "day_sin", "day_cos")
PARTS = DATE_PARTS + TIME_PARTS
EXPECTED = "a date like 2026-01-31, or a time like 2026-01-31T08:00 (ISO 8601)"
WEEK = 7 * DAY
NEVER = re.compile(r"(?:000[01]|9999)-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
MISSING = dict.fromkeys(PARTS, math.nan)
_FRACTION = re.compile(r"\.[0-9]{1,9}")


def to_parts(text: str) -> Mapping[str, float] | None:
    """Return all parts of cleaned text, NaN where the value is missing; None when it is no date."""
    if not text or NEVER.fullmatch(text):
        return MISSING
    seconds = to_seconds(_FRACTION.sub("", text, count=1))
    if seconds is None:
        return None
    days, rest = divmod(seconds, DAY)
    circles = {"year": YEAR, "week": WEEK, "day": DAY}
    turns = {name: 2 * math.pi * (seconds % period) / period for name, period in circles.items()}
    parts = {DAYS: float(days), SECONDS: float(rest)}
    parts |= {f"{name}_sin": math.sin(turn) for name, turn in turns.items()}
    return parts | {f"{name}_cos": math.cos(turn) for name, turn in turns.items()}


def from_parts(parts: Mapping[str, float]) -> str:
    """Return a date whose parts are these: both numbers are whole, and exact in float32."""
    return to_text(int(parts[DAYS]) * DAY + int(parts.get(SECONDS, 0)))
