"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import datetime

NOTHING = "-"


def count(value: float) -> str:
    """Return ``1,797``."""
    return f"{value:,.0f}"


def usd(value: float | None) -> str:
    """Return ``$1.41``; below a dollar three decimals, below a tenth of a cent ``< $0.001``."""
    if value is None:
        return "not known"
    if 0 < value < 0.001:
        return "< $0.001"
    return f"${value:,.3f}" if 0 < value < 1 else f"${value:,.2f}"


def size(value: float) -> str:
    """Return ``420 kB``: decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def duration(seconds: float) -> str:
    """Return ``1 h 05 min``, ``3 min 20 s``, ``5 min``, ``4.2 s``, ``120 ms``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def metric(value: float | None) -> str:
    """Return four digits: ``0.9861``, ``0.0553``."""
    if value is None:
        return NOTHING
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Return ``3.2 %``."""
    return f"{share * 100:.3g} %"


def moment(iso: str) -> str:
    """Return ``2026-11-21 10:00:03 UTC``."""
    return when(iso).strftime("%Y-%m-%d %H:%M:%S UTC")


def when(iso: str) -> datetime:
    """Parse a time of run.json."""
    return datetime.fromisoformat(iso)


def seconds_between(start: str, end: str) -> float:
    """Return the seconds from one time of run.json to another."""
    return (when(end) - when(start)).total_seconds()


def shorten(text: str, length: int) -> str:
    """Return ``text``, cut in its middle when it is longer."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"


def plural(number: int, noun: str) -> str:
    """Return ``1 row``, ``3 rows``."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about as many as wanted."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    step = 10 ** math.floor(math.log10(span / wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= wanted)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
