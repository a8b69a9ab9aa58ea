"""Times of a series and the steps between them: the same in preparation and in the server.

A time is ISO 8601 (``2026-01-31``, ``2026-01-31T08:00``, ``2026-01-31 08:00:00+01:00``, ``2026-01`` for a month),
in whole seconds, of the years 1000 to 2999. One with an offset is taken to UTC; one without is taken as it stands.
Inside, a time is the number of seconds since 1970.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

TIME = re.compile(
    r"[12]\d{3}-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.0{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?", re.ASCII
)
MONTH = len("2026-01")
DAY = 86_400
YEAR = 31_556_952  # seconds of the mean Gregorian year
LAST = 0  # stands for the last day of a month
ONE_DAY_SHARE = 0.9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {7 * DAY: "week", DAY: "day", 3600: "hour", 60: "minute", 1: "second"}


def to_seconds(text: str) -> int | None:
    """Return a time's seconds since 1970; None when the text is no time."""
    if not TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(f"{text}-01" if len(text) == MONTH else text.split(".")[0] + _offset(text))
    except ValueError:  # there is no 31st of June
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return round((time - _EPOCH).total_seconds())


def _offset(text: str) -> str:
    """Return what follows the fraction of a second."""
    return text.partition(".")[2].lstrip("0")


def to_text(seconds: int) -> str:
    """Return seconds since 1970 as ISO 8601, without an offset; :func:`to_seconds` reads it back."""
    time = _EPOCH + timedelta(seconds=seconds)
    return time.replace(tzinfo=None).isoformat(timespec="seconds" if time.second else "minutes")


@dataclass(frozen=True, kw_only=True)
class Step:
    """The distance between two neighbours of a series: a number of seconds, or of calendar months.

    Times are numbered along it. With months, any day stands for its month.
    """

    seconds: int = 0
    months: int = 0
    phase: int = 0  # seconds, or months, of one time of the series modulo the step

    def number(self, seconds: int) -> int | None:
        """Return the number of a time; None when it lies between two steps."""
        place, size = (_month(seconds), self.months) if self.months else (seconds, self.seconds)
        whole, rest = divmod(place - self.phase, size)
        return None if rest else whole

    def time(self, number: int) -> int:
        """Return the time of a number, in seconds since 1970; of months, their first day."""
        if not self.months:
            return number * self.seconds + self.phase
        year, month = divmod(number * self.months + self.phase, 12)
        return round((datetime(year, month + 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())

    def __str__(self) -> str:
        if self.months:
            return "year" if self.months == 12 else _times(self.months, "month")
        size, name = next((size, name) for size, name in _NAMES.items() if self.seconds % size == 0)
        return _times(self.seconds // size, name)

    def describe(self, steps: int) -> str:
        """Return how long some steps are, for people: ``168 steps (1 week)``."""
        longer = Step(months=self.months * steps) if self.months else Step(seconds=self.seconds * steps)
        return f"{steps} step{'s' * (steps != 1)} ({'1 ' if str(longer)[0].isalpha() else ''}{longer})"

    @property
    def length(self) -> float:
        """Seconds; of months, on average."""
        return self.months * YEAR / 12 if self.months else float(self.seconds)

    def statistics(self) -> dict[str, float]:
        """Return what a Feature keeps of it; :meth:`of` reads it back."""
        return {"seconds": float(self.seconds), "months": float(self.months), "phase": float(self.phase)}

    @classmethod
    def of(cls, statistics: Mapping[str, float]) -> Step:
        """Return the step that a Feature keeps."""
        return cls(**{name: round(statistics[name]) for name in ("seconds", "months", "phase")})


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count} {name}s"


def _month(seconds: int) -> int:
    time = _EPOCH + timedelta(seconds=seconds)
    return time.year * 12 + time.month - 1


def find_step(series: Iterable[Sequence[int]]) -> Step | None:
    """Return the most frequent distance between neighbours; None when no series has two times.

    Args:
        series: times of each series in seconds since 1970, ascending, each once.
    """
    distances: Counter[int] = Counter()
    known: list[Sequence[int]] = [times for times in series if len(times) > 1]
    for times in known:
        distances.update(later - earlier for earlier, later in itertools.pairwise(times))
    if not distances:
        return None
    first, (seconds, _) = known[0][0], min(distances.items(), key=lambda item: (-item[1], item[0]))
    months = next((size for size, span in _SPANS.items() if span[0] * DAY <= seconds <= span[1] * DAY), 0)
    if months and _on_one_day(known):
        return Step(months=months, phase=_month(first) % months)
    return Step(seconds=seconds, phase=first % seconds)


def _on_one_day(series: Sequence[Sequence[int]]) -> bool:
    """Whether (nearly) all times are on one day of the month, or on its last."""
    days: Counter[int] = Counter()
    for times in series:
        for seconds in times:
            time = _EPOCH + timedelta(seconds=seconds)
            days[LAST if (time + timedelta(days=1)).day == 1 and time.day > 1 else time.day] += 1
    return max(days.values()) >= ONE_DAY_SHARE * days.total()


_SPANS = {1: (28, 31), 2: (59, 62), 3: (89, 92), 4: (120, 123), 6: (181, 184), 12: (365, 366)}
"""Days that some months may have."""
