"""An upload of time series: a table with a time, a value, and perhaps the name of the series each row belongs to.

Rows may come in any order. It is read twice: to find the step between times, and to put the values
on the grid that it makes. A time without a row, or without a value, is missing, which is
learned from too. Set aside are rows whose time or value cannot be read, a time that lies
between two steps, and one that its series had before.
"""

from __future__ import annotations

import array
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema, Tensor
from contract.timeline import Step, find_step, to_seconds, to_text
from training import seasons, windows
from training.checks import check_quarantine
from training.columns import Moments, to_numbers
from training.data import LABEL, ROW
from training.privacy import check_columns
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.split import TEST
from training.tables import open_table
from training.windows import Calendar, Series, Windows

HISTORY, START, CATEGORY, ERROR = "history", "start", "category", "naive_error"
SHOWN = 40  # characters of a bad value that a reason quotes
PEEKED = 100  # rows that tell which column holds the times
SPARSE = 50  # steps for each value: more, and a time must be mistaken
REPEATED = 0.5  # share of repeated times that several series in one would have
MAX_SERIES = 10_000
AUTO_HORIZON = 24
AUTO_SEASONS = 2
OLDER = 2  # histories that an original goes back: a champion may look back further


class Settings(Protocol):
    """What the recipe's options say of reading (training.recipes.forecast)."""

    time: str
    series: str
    horizon: int
    history: int
    seasonality: int


class SeriesTable:
    """The series of an upload.

    Args:
        files: CSV and Parquet files with the same columns.
        work: what preparation lends.
        settings: the recipe's options.

    Raises:
        Rejected: when there is no series long enough to forecast.
    """

    def __init__(self, files: Sequence[Path], work: Preparation, settings: Settings) -> None:
        self.notes: list[str] = []
        self._work, self._settings = work, settings
        self._target, self._name = work.request.prepare.target, settings.series
        self._time = _time_column(files[0], settings.time, work)
        self._rows = Rows(files, work, self._time)
        self.anonymised = self._rows.anonymised
        check_columns("prepare.target", [self._target], self._rows.columns)
        check_columns("recipe.series", [self._name] if self._name else [], self._rows.columns)
        self._step, spans = self._look()
        self._series = self._fill(spans)
        self._calendar = self._divide()
        self._leave_out_constants()
        self._shape()
        self._learn()

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
        times, cells = block.column(self._time), block.column(self._target)
        names = block.column(self._name) if self._name else itertools.repeat("")
        mistakes = to_numbers(cells)[1]
        for line, name, time, cell, mistake in zip(block.lines, names, times, cells, mistakes, strict=False):
            seconds = to_seconds(time)
            if seconds is None:
                self._rows.set_aside(
                    line, f"{time[:SHOWN]!r} in column {self._time!r} is no time; write 2026-01-31T08:00 (ISO 8601)"
                )
            elif mistake:
                self._rows.set_aside(
                    line, f"{cell[:SHOWN]!r} in column {self._target!r} is no number, or too large a one"
                )
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
            for line, name, time, value in zip(block.lines, names, block.column(self._time), values, strict=True):
                seconds = to_seconds(time)
                number = None if seconds is None else self._step.number(seconds)
                if number is None:
                    self._rows.set_aside(line, f"{time!r} lies between two steps; times are one {self._step} apart")
                elif there[name][number - spans[name][0]]:
                    self._rows.set_aside(line, f"{time!r} is there twice{' in one series' if self._name else ''}")
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

    def _divide(self) -> Calendar:
        prepare = self._work.request.prepare
        return Calendar.of(
            self._series, validation_fraction=prepare.validation_fraction, test_fraction=prepare.test_fraction
        )

    def _leave_out_constants(self) -> None:
        """Leave out series in which nothing ever changes: there is nothing to forecast, and no error to relate to."""
        border = self._calendar.validation
        constant = [each.name for each in self._series if _is_constant(each.before(border))]
        if len(constant) == len(self._series):
            what = "no series has two different values" if self._name else f"{self._target!r} never changes"
            raise Rejected(f"{what} among the training times: there is nothing to forecast")
        if constant:
            shown = ", ".join(map(repr, constant[:5])) + (" ..." if len(constant) > 5 else "")
            self.notes.append(f"series that never change among the training times are left out: {shown}")
        self._series = [each for each in self._series if each.name not in set(constant)]

    def _shape(self) -> None:
        """Decide on season, horizon and history; say where the data decided."""
        border, settings, step = self._calendar.validation, self._settings, self._step
        training = [each.before(border) for each in self._series]
        self._season = settings.seasonality
        if not self._season:
            self._season, likeness = seasons.find(training)
            self.notes.append(
                f"the season is {step.describe(self._season)}: the autocorrelation peaks there, at {likeness:.2f}"
                if self._season > 1
                else "no season was found: the autocorrelation has no peak"
            )
        self._horizon = settings.horizon or min(self._season, AUTO_HORIZON)
        self._history = settings.history or self._auto_history(max(map(len, training)))
        if self._history < self._season:
            raise Rejected(
                f"recipe.history is {self._history}, less than the season of {self._season} steps; "
                f"set it to {self._season} at least, or recipe.seasonality to the season that you mean"
            )
        self._calendar.check(self._history, self._horizon)
        self._stride = windows.stride_for(self._series, history=self._history, horizon=self._horizon)
        for each, values in zip(self._series, training, strict=True):
            each.error = _positive(seasons.naive_error(values, self._season), seasons.naive_error(values, 1), 1.0)
        self.notes.append(
            f"one {step} is a step; from {step.describe(self._history)}, {step.describe(self._horizon)} are forecast"
        )
        if self._stride > 1:
            self.notes.append(f"windows begin every {self._stride} steps, so that there are at most {windows.MOST:,}")

    def _auto_history(self, steps: int) -> int:
        """Return two seasons, or one where the training times have not enough for two."""
        wanted = max(AUTO_SEASONS * self._season, AUTO_SEASONS * self._horizon)
        fits = wanted + self._horizon + windows.LEAST[windows.TRAIN] <= steps
        return wanted if fits else max(self._season, min(self._horizon, steps // 4))

    def _learn(self) -> None:
        """Gather the statistics of the training values and the names of their series."""
        moments = Moments(columns=1)
        for each in self._series:
            moments.add(each.before(self._calendar.validation)[:, None])
        self._statistics = moments.statistics(0)
        known = [each.name for each in self._series if len(each.before(self._calendar.validation))]
        self._vocabulary = tuple(known) if self._name else ()

    def chunks(self) -> Iterator[Chunk]:
        """Yield all windows, series by series."""
        codes = {name: code for code, name in enumerate(self._vocabulary, start=1)}
        row = 0
        for part in windows.cut(
            self._series, self._calendar, history=self._history, horizon=self._horizon, stride=self._stride
        ):
            count = len(part.origins)
            starts = np.array([self._step.time(int(number)) for number in part.origins], np.int64)
            arrays: dict[str, NDArray] = {
                HISTORY: part.history.astype(np.float32),
                START: starts[:, None],
                LABEL: part.future.astype(np.float32),
                ERROR: np.full(count, part.series.error, np.float32),
                ROW: np.arange(row, row + count, dtype=np.int64),
            }
            if codes:
                arrays[CATEGORY] = np.full((count, 1), codes.get(part.series.name, 0), np.int64)
            row += count
            yield Chunk(
                arrays=arrays, content=self._digests(arrays), split=part.split, originals=self._originals(part, starts)
            )

    def _digests(self, arrays: Mapping[str, NDArray]) -> list[bytes]:
        """Return digests of what the model sees of each window."""
        inputs = [arrays[name] for name in (HISTORY, START, CATEGORY) if name in arrays]
        return [self._work.splitter.digest(b"".join(a[i].tobytes() for a in inputs)) for i in range(len(inputs[0]))]

    def _originals(self, part: Windows, starts: NDArray[np.int64]) -> list[bytes]:
        """Return test windows as the champion is asked them: with an older history, which it may look back to."""
        return [
            json.dumps(
                {
                    HISTORY: _null(part.series.before(int(origin))[-OLDER * self._history :]),
                    START: to_text(int(start)),
                    "series": part.series.name,
                    "step": self._step.statistics(),
                }
            ).encode()
            for origin, start, split in zip(part.origins, starts, part.split, strict=True)
            if split == TEST
        ]

    def schema(self) -> Schema:
        """Return the signature: a history, the time that follows it, and the series if there are several."""
        inputs = [
            Tensor(name=HISTORY, dtype="float32", shape=(-1, self._history)),
            Tensor(name=START, dtype="int64", shape=(-1, 1)),
        ]
        span = (self._calendar.validation - self._calendar.first) * self._step.length
        features = [
            Feature(name=self._target, kind="history", statistics={**self._statistics, "season": float(self._season)}),
            Feature(name=self._time, kind="start", statistics={**self._step.statistics(), "span": float(span)}),
        ]
        if self._vocabulary:
            inputs.append(Tensor(name=CATEGORY, dtype="int64", shape=(-1, 1)))
            hashed = self._name in self._work.request.privacy.hash
            features.append(Feature(name=self._name, kind="category", vocabulary=self._vocabulary, hashed=hashed))
        return Schema(
            task="regression",
            inputs=tuple(inputs),
            features=tuple(features),
            labels=tuple(f"t+{step}" for step in range(1, self._horizon + 1)),
            target=self._target,
            metric="mase",
            statistics={name: self._statistics[name] for name in ("mean", "std", "min", "max")},
        )

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


def _is_constant(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return not len(known) or bool((known == known[0]).all())


def _positive(*candidates: float) -> float:
    """Return the first number above 0: a series that repeats itself exactly has no error to relate to."""
    return next(value for value in candidates if value > 0)


def _null(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
