"""What the columns of a table are: numbers or categories, and the statistics of the training rows.

The rule, for each column that the model may see:

- A column is a *date* when at least 9 in 10 of its values are ISO dates or times
  (contract.dates). The other values are mistakes, and their rows are set aside.
- A column is a *number* when at least 9 in 10 of its values are decimal numbers
  and the file does not say otherwise (text, booleans and dates in Parquet). The other
  values are then mistakes, and their rows are set aside.
- Any other column is a *category*. Its vocabulary is the values that occur at
  least twice among the training rows, the most frequent ones first. Where many values are
  left over, they are hashed into buckets, at least four of the training rows' into each on average,
  and so are the values that come later.
- A column without any value, and a category in which no value occurs twice (an
  identifier, free text), is left out, and the report says so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contract.dates import SECONDS, to_parts
from contract.values import NUMBER, to_number

NUMBER_SHARE = 0.9
MIN_OCCURRENCES = 2
WORDS_OF_BUCKET = 4  # fewer, and a bucket would be learned from too little
EXACT_DIGITS = 15  # that a float64 tells apart
OTHER_DATES = re.compile(r"[0-9]{1,4}[/.][0-9]{1,2}[/.][0-9]{1,4}(?:[ T].*)?")
WITH_COMMAS = re.compile(r"[-+]?[0-9]++(?:[.,' ][0-9]++)++")
MAX_COUNTED = 200_000  # distinct values of a column that are counted; memory, not meaning, sets it


def to_numbers(cells: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column's numbers (NaN where missing or mistaken), and where the mistakes are."""
    values = np.array([to_number(cell) if cell else math.nan for cell in cells], np.float64)
    filled = np.array([bool(cell) for cell in cells], np.bool_)
    return values, filled & np.isnan(values)


def canonical(cell: str) -> str:
    """Return a cell with a number written in one way: programs write 5 as 5.0 once a value of the column is missing."""
    if len(cell) > EXACT_DIGITS or (cell.isdecimal() and cell[0] != "0") or not NUMBER.fullmatch(cell):
        return cell
    value = float(cell)
    return str(int(value)) if value.is_integer() else repr(value)


@dataclass(kw_only=True)
class Tally:
    """What a first look at a column found."""

    filled: int = 0
    numbers: int = 0
    commas: int = 0
    dates: int = 0
    times: int = 0  # dates with a time of day
    other_dates: int = 0

    def add(self, cells: Sequence[str]) -> None:
        """Count some more cells."""
        filled = [cell for cell in cells if cell]
        self.filled += len(filled)
        self.numbers += sum(1 for cell in filled if NUMBER.fullmatch(cell))
        self.commas += sum(1 for cell in filled if "," in cell and WITH_COMMAS.fullmatch(cell))
        dates = [parts for cell in filled if "-" in cell and (parts := to_parts(cell))]
        self.dates += len(dates)
        self.times += sum(1 for parts in dates if parts[SECONDS] > 0)
        self.other_dates += sum(1 for cell in filled if cell[0].isdigit() and OTHER_DATES.fullmatch(cell))

    def merge(self, other: Tally) -> None:
        """Take in what a look at other rows found."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def is_number(self) -> bool:
        """Whether the column's values are numbers."""
        return self.numbers >= NUMBER_SHARE * self.filled

    def is_date(self) -> bool:
        """Whether the column's values are dates."""
        return self.dates > 0 and self.dates >= NUMBER_SHARE * self.filled

    def has_other_dates(self) -> bool:
        """Whether the column would be one of dates, were they ISO 8601."""
        return self.other_dates > 0 and self.other_dates + self.dates >= NUMBER_SHARE * self.filled

    def has_commas(self) -> bool:
        """Whether the column would be one of numbers, had they no commas."""
        return not self.is_number() and self.numbers + self.commas >= NUMBER_SHARE * self.filled


@dataclass(kw_only=True)
class Moments:
    """Statistics of number columns, gathered chunk by chunk (Chan, Golub and LeVeque's update)."""

    columns: int
    rows: int = 0
    count: NDArray[np.float64] = field(init=False)
    mean: NDArray[np.float64] = field(init=False)
    squares: NDArray[np.float64] = field(init=False)
    lowest: NDArray[np.float64] = field(init=False)
    highest: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.count, self.mean, self.squares = (np.zeros(self.columns) for _ in range(3))
        self.lowest, self.highest = np.full(self.columns, np.inf), np.full(self.columns, -np.inf)

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in rows [n, columns]; NaN is missing."""
        there = ~np.isnan(values)
        more = Moments(columns=self.columns)
        more.count, more.rows = there.sum(axis=0), len(values)
        more.mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(more.count, 1)
        more.squares = (np.where(there, values - more.mean, 0.0) ** 2).sum(axis=0)
        if len(values):
            more.lowest = np.where(there, values, np.inf).min(axis=0)
            more.highest = np.where(there, values, -np.inf).max(axis=0)
        self.merge(more)

    def merge(self, other: Moments) -> None:
        """Take in the moments of other rows."""
        total = self.count + other.count
        apart, safe_total = other.mean - self.mean, np.maximum(total, 1)
        self.squares += other.squares + apart**2 * self.count * other.count / safe_total
        self.mean += apart * other.count / safe_total
        self.count, self.rows = total, self.rows + other.rows
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)

    def statistics(self, column: int) -> dict[str, float]:
        """Return a column's statistics; zeros when no training row has a value."""
        count = self.count[column]
        if not count:
            return {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0, "missing": 1.0}
        return {
            "mean": float(self.mean[column]),
            "std": float(np.sqrt(self.squares[column] / count)),
            "min": float(self.lowest[column]),
            "max": float(self.highest[column]),
            "missing": float(1 - count / self.rows),
        }


@dataclass(kw_only=True)
class Words:
    """Values of a category column among the training rows."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, cells: Sequence[str]) -> None:
        """Count some more cells; new values beyond MAX_COUNTED are not counted."""
        self.rows += len(cells)
        if len(self.counts) < MAX_COUNTED:
            self.counts.update(cells)
        else:
            self.counts.update(cell for cell in cells if cell in self.counts)

    def merge(self, other: Words) -> None:
        """Take in the values of other rows; new ones beyond MAX_COUNTED are not counted."""
        self.rows += other.rows
        for cell, count in other.counts.items():
            if cell in self.counts or len(self.counts) < MAX_COUNTED:
                self.counts[cell] += count

    def vocabulary(self, limit: int) -> tuple[str, ...]:
        """Return the most frequent values, at most ``limit``; ties in the order of their text."""
        known = [(-count, word) for word, count in self.counts.items() if word and count >= MIN_OCCURRENCES]
        return tuple(word for _, word in sorted(known)[:limit])

    def buckets(self, vocabulary: Sequence[str], limit: int) -> int:
        """Return how many buckets the values that are not in the vocabulary are worth, at most ``limit``."""
        others = len(self.counts) - len(vocabulary) - ("" in self.counts)
        return min(limit, others // WORDS_OF_BUCKET)

    def statistics(self) -> dict[str, float]:
        """Return the share of missing values."""
        return {"missing": self.counts[""] / self.rows if self.rows else 1.0}
