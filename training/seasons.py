"""The season of series, and the forecast that repeats it: what a model of them has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST = 2500  # steps; a week of five minutes has 2,016
LEAST = 0.2  # autocorrelation of a season that is worth its name
RISE = 0.1  # above the lowest autocorrelation before it: a slow series is like itself at any short distance
ALIKE = 1.0  # standard errors of an autocorrelation, 1 / sqrt(values): nearer ones tell no two seasons apart


def find(series: Sequence[NDArray[np.float64]]) -> tuple[int, float]:
    """Return the season in steps, and the autocorrelation at that distance; 1 and 0.0 when there is none.

    It is the distance at which the autocorrelation, over all series, peaks the highest; the shortest such.

    Args:
        series: values in time, NaN where missing; a third of the longest bounds the season.
    """
    longest = min(LONGEST, max(map(len, series)) // 3)
    if longest < 2:
        return 1, 0.0
    like = autocorrelation(series, longest + 1)
    peaks = [
        lag
        for lag in range(2, longest + 1)
        if like[lag - 1] < like[lag] >= like[lag + 1] and like[lag] >= max(LEAST, like[1:lag].min() + RISE)
    ]
    if not peaks:
        return 1, 0.0
    best = max(like[lag] for lag in peaks)
    alike = ALIKE / np.sqrt(sum(map(len, series)))
    season = next(lag for lag in peaks if like[lag] >= best - alike)
    return season, float(like[season])


def autocorrelation(series: Sequence[NDArray[np.float64]], longest: int) -> NDArray[np.float64]:
    """Return how alike values are at each distance from 0 to ``longest`` steps, from -1 to 1.

    Each series counts without its straight trend, and by the pairs of values that it has.
    """
    products, pairs = np.zeros(longest + 1), np.zeros(longest + 1)
    for values in series:
        there = ~np.isnan(values)
        flat = np.where(there, values - _trend(values, there), 0.0)
        variance = (flat**2).sum() / max(there.sum(), 1)
        reach = min(longest + 1, len(values))
        if variance > 0:
            products[:reach] += _correlate(flat / np.sqrt(variance), reach)
            pairs[:reach] += _correlate(there.astype(float), reach)
    return np.where(pairs >= 1, products / np.maximum(pairs, 1), 0.0)


def _trend(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    place = np.arange(len(values), dtype=float)
    if there.sum() < 2:
        return np.zeros(len(values))
    slope, level = np.polyfit(place[there], values[there], 1)
    return slope * place + level


def _correlate(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the sums of products of values some steps apart, by the fast Fourier transform."""
    spectrum = np.fft.rfft(values, 2 * len(values))
    return np.fft.irfft(np.abs(spectrum) ** 2)[:reach]


def naive_error(values: NDArray[np.float64], season: int) -> float:
    """Return the mean absolute error of repeating what was one season earlier; NaN when there is no such pair."""
    errors = np.abs(values[season:] - values[:-season])
    errors = errors[~np.isnan(errors)]
    return float(errors.mean()) if len(errors) else float("nan")


def repeat(history: NDArray[np.float32], season: int, horizon: int) -> NDArray[np.float64]:
    """Return the seasonal naive forecast, [n, horizon]: each step is what was one season before it.

    What is missing there is taken from the newest earlier season that has it, then from the mean
    of the row's history (0 when it is empty).

    Args:
        history: [n, steps], at least a season; NaN where missing.
        season: in steps.
        horizon: steps to forecast.
    """
    known = ~np.isnan(history)
    mean = np.where(known, history, 0.0).sum(axis=1, dtype=float) / np.maximum(known.sum(axis=1), 1)
    last = np.full((len(history), season), np.nan)
    for end in range(history.shape[1], season - 1, -season):
        last = np.where(np.isnan(last), history[:, end - season : end], last)
    last = np.where(np.isnan(last), mean[:, None], last)
    return last[:, np.arange(horizon) % season]
