"""Series on a grid of time, cut into windows: a history, and the values that followed it.

The windows are split by time, never by chance: neighbouring windows share most of their values, so a test window
drawn at random would have been learned. Training windows end before the first value that validation predicts,
and validation windows before the first one that the test predicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.rejection import Rejected
from training.split import TEST, TRAIN, VALIDATION

DROPPED = -1
BLOCK = 512  # windows in memory at a time
LEAST = {TRAIN: 10, VALIDATION: 1, TEST: 5}  # moments to forecast from in each split
MOST = 200_000  # windows of a dataset; beyond it, not every step begins one


@dataclass(kw_only=True)
class Series:
    """One series.

    ``values`` float64 is a value a step, NaN where missing; ``first`` the number of the first
    one's time; ``error`` the seasonal naive error among the training values.
    """

    name: str
    first: int
    values: NDArray[np.float64]
    error: float = field(default=math.nan)

    @property
    def end(self) -> int:
        """Number after that of the last value."""
        return self.first + len(self.values)

    def before(self, number: int) -> NDArray[np.float64]:
        """Return the values before a time."""
        return self.values[: max(0, number - self.first)]


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Where the splits begin: numbers of times."""

    first: int
    validation: int
    test: int
    end: int

    @classmethod
    def of(cls, series: Sequence[Series], *, validation_fraction: float, test_fraction: float) -> Calendar:
        """Divide the time from the first value of any series to the last: train, validation, test."""
        first, end = min(each.first for each in series), max(each.end for each in series)
        test = end - round((end - first) * test_fraction)
        validation = test - round((end - first) * validation_fraction)
        return cls(first=first, validation=validation, test=test, end=end)

    def split(self, origins: NDArray[np.int64], horizon: int) -> NDArray[np.int8]:
        """Return the split of windows by the number of the first value they predict; DROPPED across a border."""
        last = origins + horizon
        train, validation = last <= self.validation, (origins >= self.validation) & (last <= self.test)
        return np.select([train, validation, origins >= self.test], [TRAIN, VALIDATION, TEST], DROPPED).astype(np.int8)

    def room(self, history: int, horizon: int) -> dict[int, int]:
        """Return how many moments each split has to forecast from, for a series as long as all time."""
        return {
            TRAIN: self.validation - self.first - history - horizon + 1,
            VALIDATION: self.test - self.validation - horizon + 1,
            TEST: self.end - self.test - horizon + 1,
        }

    def check(self, history: int, horizon: int) -> None:
        """Refuse a history and a horizon that leave a split without enough windows.

        Raises:
            Rejected: with how many steps there would have to be.
        """
        room = self.room(history, horizon)
        if all(room[split] >= least for split, least in LEAST.items()):
            return
        steps = self.end - self.first
        borders = (self.first, self.validation, self.test, self.end)
        parts = {split: later - earlier for split, (earlier, later) in zip(LEAST, pairwise(borders), strict=True)}
        needs = max(
            math.ceil((least - room[split] + parts[split]) * steps / max(parts[split], 1))
            for split, least in LEAST.items()
        )
        raise Rejected(
            f"the series span {steps} steps, and a history of {history} with a horizon of {horizon} needs {needs}: "
            "upload a longer time, or lower recipe.horizon or recipe.history"
        )


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Some windows of one series: ``history`` [n, history], ``future`` [n, horizon], NaN where missing."""

    series: Series
    origins: NDArray[np.int64]  # numbers of the first times to predict
    split: NDArray[np.int8]
    history: NDArray[np.float64]
    future: NDArray[np.float64]


def cut(series: Sequence[Series], calendar: Calendar, *, history: int, horizon: int, stride: int) -> Iterator[Windows]:
    """Yield all windows that have at least one value on both sides, series by series in the order of time.

    Every ``stride``-th step begins one. A history lies inside its series; the border between
    two splits is crossed by histories only.
    """
    for each in series:
        origins = np.arange(each.first + history, each.end - horizon + 1)
        origins = origins[origins % stride == 0]
        for first in range(0, len(origins), BLOCK):
            yield from _block(each, calendar, origins[first : first + BLOCK], history, horizon)


def _block(
    series: Series, calendar: Calendar, origins: NDArray[np.int64], history: int, horizon: int
) -> Iterator[Windows]:
    split, places = calendar.split(origins, horizon), origins - series.first
    view = np.lib.stride_tricks.sliding_window_view
    past, future = view(series.values, history)[places - history], view(series.values, horizon)[places]
    good = (split != DROPPED) & ~np.isnan(past).all(axis=1) & ~np.isnan(future).all(axis=1)
    if good.any():
        yield Windows(series=series, origins=origins[good], split=split[good], history=past[good], future=future[good])


def stride_for(series: Sequence[Series], *, history: int, horizon: int) -> int:
    """Return the steps between windows that keep a dataset within MOST windows."""
    windows = sum(max(0, len(each.values) - history - horizon + 1) for each in series)
    return math.ceil(windows / MOST) or 1
