"""Rows with a time and a value, put on the grid that their times make.

Rows may come in any order. They are read twice: to find the step between times, and to put the values
in their places. A time without a row, or without a value, is missing. Set aside are rows whose time or
value cannot be read, a time that lies between two steps, and one that its series had before.
"""

from __future__ import annotations

import array
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from contract.timeline import Step, find_step, to_seconds, to_text
from training.checks import check_quarantine
from training.columns import to_numbers
from training.privacy import check_columns
from training.recipes import Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.tables import open_table
from training.windows import Series

PEEKED = 100  # rows that tell which column holds the times
SPARSE = 50  # steps for each value: more, and a time must be mistaken
REPEATED = 0.5  # share of repeated times that several series in one would have
MAX_SERIES = 10_000


class Grid:
    """The series of an upload.

    Args:
        files: CSV and Parquet files with the same columns.
        work: what preparation lends.
        time: the column of the times; empty to find it.
        name: the column that names a row's series; empty when there is one.

    Raises:
        Rejected: when columns, times or values are not those of series.
    """

    def __init__(self, files: Sequence[Path], work: Preparation, *, time: str, name: str) -> None:
        self.notes: list[str] = []
        self._work, self._target, self._name = work, work.request.prepare.target, name
        self.time = _time_column(files[0], time, work)
        self._rows = Rows(files, work, self.time)
        self.anonymised = self._rows.anonymised
        check_columns("prepare.target", [self._target], self._rows.columns)
        check_columns("recipe.series", [name] if name else [], self._rows.columns)
        self.step, spans = self._look()
        self.series = self._fill(spans)

    def _look(self) -> tuple[Step, dict[str, tuple[int, int]]]:
        """Return the step between times, and the numbers of each series' first and last time."""
        times: dict[str, array.array[int]] = {}
        for block in self._rows.blocks():
            for name, seconds in self._check(block):
                times.setdefault(name, array.array("q")).append(seconds)
                if len(times) > MAX_SERIES:
                    raise Rejected(f"{self._name!r} names more than {MAX_SERIES:,} series; is it the right column?")
        if not times:
            raise Rejected("the upload holds no good row below the header")
        once = {name: np.unique(np.array(found)).tolist() for name, found in times.items()}
        self._check_repeats(sum(map(len, times.values())), sum(map(len, once.values())))
        step = find_step(once.values())
        if step is None:
            raise Rejected("no series has two times; a series needs many to be forecast")
        self._note_other_columns()
        return step, {name: _span(found, step) for name, found in once.items()}

    def _check(self, block: Block) -> Iterator[tuple[str, int]]:
        """Yield the series and the time of each row that can be read; set the others aside."""
        times, cells = block.column(self.time), block.column(self._target)
        names = block.column(self._name) if self._name else itertools.repeat("")
        mistakes = to_numbers(cells)[1]
        for line, name, time, cell, mistake in zip(block.lines, names, times, cells, mistakes, strict=False):
            seconds = to_seconds(time)
            if seconds is None:
                reason = f"in column {self.time!r} is no time; write 2026-01-31T08:00 (ISO 8601)"
                self._rows.set_aside(line, reason, time)
            elif mistake:
                self._rows.set_aside(line, f"in column {self._target!r} is no number, or too large a one", cell)
            elif self._name and not name:
                self._rows.set_aside(line, f"has no value in the column {self._name!r}, which names its series")
            else:
                yield name, seconds

    def _fill(self, spans: Mapping[str, tuple[int, int]]) -> list[Series]:
        """Return the series with their values in place; rows that have no place are set aside."""
        there = {name: np.zeros(last - first + 1, np.bool_) for name, (first, last) in spans.items()}
        series = {
            name: Series(name=name, first=first, values=np.full(last - first + 1, math.nan))
            for name, (first, last) in spans.items()
        }
        for block in self._rows.blocks():
            values = to_numbers(block.column(self._target))[0].tolist()
            names = block.column(self._name) if self._name else [""] * len(block)
            for line, name, time, value in zip(block.lines, names, block.column(self.time), values, strict=True):
                seconds = to_seconds(time)
                number = None if seconds is None else self.step.number(seconds)
                if number is None:
                    self._rows.set_aside(line, f"lies between two steps; times are one {self.step} apart", time)
                elif there[name][number - spans[name][0]]:
                    self._rows.set_aside(line, f"is there twice{' in one series' if self._name else ''}", time)
                else:
                    there[name][number - spans[name][0]] = True
                    series[name].values[number - spans[name][0]] = value
        self._work.quarantine.good = sum(int(places.sum()) for places in there.values())
        check_quarantine(
            self._work.quarantine,
            good=self._work.quarantine.good,
            allowed=self._work.request.prepare.max_rejected_fraction,
        )
        return [series[name] for name in sorted(series)]

    def _check_repeats(self, rows: int, times: int) -> None:
        """Refuse a file of several series that are not told apart."""
        if not self._name and times < REPEATED * rows:
            raise Rejected(
                f"{rows} rows share {times} times: the file seems to hold several series; "
                "name the column that tells them apart in recipe.series"
            )

    def _note_other_columns(self) -> None:
        others = [name for name in self._rows.columns if name not in (self._target, self._name)]
        if others:
            shown = ", ".join(map(repr, others[:5])) + (" ..." if len(others) > 5 else "")
            self.notes.append(f"left out, because a forecast is made from the series alone: {shown}")


def _time_column(file: Path, wanted: str, work: Preparation) -> str:
    """Return the column that holds the times: the one that is set, or the only one that looks like it."""
    table, prepare, privacy = open_table(file), work.request.prepare, work.request.privacy
    if wanted:
        check_columns("recipe.time", [wanted], table.columns)
        return wanted
    rows = [row.cells for row in itertools.islice(table.rows(), PEEKED) if not row.problem]
    hidden = {prepare.target, *prepare.exclude, *privacy.drop, *privacy.hash, *privacy.generalise}
    found = [
        name
        for name, cells in zip(table.columns, zip(*rows, strict=True), strict=False)
        if name not in hidden and _are_times(cells)
    ]
    if len(found) == 1:
        return found[0]
    holds = f"the columns {', '.join(map(repr, found))} hold times" if found else "no column holds times (ISO 8601)"
    raise Rejected(f"{table.name}: {holds}; name the one that counts in recipe.time")


def _are_times(cells: Sequence[str]) -> bool:
    """Whether most of the cells that are not empty are times."""
    filled = [cell for cell in cells if cell]
    return sum(to_seconds(cell) is not None for cell in filled) > len(filled) / 2


def _span(times: Sequence[int], step: Step) -> tuple[int, int]:
    """Return the numbers of the first and last of a series' times.

    Raises:
        Rejected: when there are so few values between them that one of the times must be mistaken.
    """
    numbers = [number for number in (step.number(seconds) for seconds in times) if number is not None]
    if not numbers:
        return 0, 0
    if numbers[-1] - numbers[0] > SPARSE * (len(numbers) + 1):
        raise Rejected(
            f"the times go from {to_text(times[0])} to {to_text(times[-1])}, {numbers[-1] - numbers[0] + 1:,} steps "
            f"of one {step}, and a series has values at {len(numbers):,} of them: is one of those two mistaken?"
        )
    return numbers[0], numbers[-1]
