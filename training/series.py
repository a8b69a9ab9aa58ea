"""An upload of time series as a source of windows: their shape, their statistics, what is asked of a champion."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema, Tensor
from contract.timeline import to_text
from training import seasons, windows
from training.columns import Moments
from training.data import LABEL, ROW
from training.grid import Grid
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.split import TEST
from training.windows import Calendar, Windows

HISTORY, START, CATEGORY, ERROR = "history", "start", "category", "naive_error"
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
        self._work, self._settings = work, settings
        self._target, self._name = work.request.prepare.target, settings.series
        grid = Grid(files, work, time=settings.time, name=settings.series)
        self.anonymised, self.notes = grid.anonymised, grid.notes
        self._time, self._step, self._series = grid.time, grid.step, grid.series
        self._calendar = self._divide()
        self._leave_out_constants()
        self._shape()
        self._learn()

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
            count = f"{len(constant):,}"  # their names may be persons'
            self.notes.append(f"series without two different values among the training times are left out: {count}")
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


def _is_constant(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return not len(known) or bool((known == known[0]).all())


def _positive(*candidates: float) -> float:
    """Return the first number above 0: a series that repeats itself exactly has no error to relate to."""
    return next(value for value in candidates if value > 0)


def _null(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
