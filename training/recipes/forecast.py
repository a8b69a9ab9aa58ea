"""Forecasts time series: from the last values of a series, the next ones. How an upload becomes series:
:mod:`training.grid`; windows, split by time: :mod:`training.windows`; the network: :mod:`training.seasonal`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from contract.timeline import Step, to_seconds, to_text
from training import forecasts, seasons
from training.data import LABEL, Split
from training.recipes import Preparation, Recipe
from training.series import CATEGORY, ERROR, HISTORY, START, SeriesTable

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    time: str = setting("Column of the times (ISO 8601); empty takes the only one that holds times.", default="")
    series: str = setting("Column that names the series of a row; empty when there is only one.", default="")
    horizon: int = setting(
        "Steps to forecast; 0 takes one season, at most 24.", default=0, minimum=0, maximum=1000
    )  # fmt: skip
    history: int = setting(
        "Steps to look back; 0 takes two seasons, or twice the horizon where that is longer.",
        default=0, minimum=0, maximum=20_000,
    )  # fmt: skip
    seasonality: int = setting(
        "Steps of a season; 0 finds it by autocorrelation, 1 says that there is none.",
        default=0, minimum=0, maximum=10_000,
    )  # fmt: skip
    hidden: int = setting("Units of the hidden layer.", default=128, minimum=4, maximum=4096)
    embedding: int = setting("Numbers that describe one series.", default=4, minimum=1, maximum=128)


class Forecast(Recipe):
    """The recipe."""

    summary = "Forecasts time series with a season: traffic, energy, sales; one network for all series of an upload."
    when = (
        "A number that is measured again and again at equal steps, of one thing or of many, and whose next values you "
        "want to know. The upload has a row a time: the time, the value, and the series' name if there are several."
    )
    examples = "departures"
    reader = "series"
    accepts = (".csv", ".parquet")
    needs_target = True
    metric = {"regression": "mase"}
    baseline_name = "repeating the last season"
    options = Options
    read_options = ("time", "series", "horizon", "history", "seasonality")
    narrows = ("hidden",)
    defaults = {"train": {"epochs": 12, "batch_size": 128, "learning_rate": 0.005, "weight_decay": 0.01}}
    searches = {
        "forecast": Search(
            ranges={
                "learning_rate": {"min": 0.0003, "max": 0.01, "scale": "log"},
                "options.hidden": {"min": 32, "max": 512, "scale": "log"},
                "weight_decay": {"min": 0.001, "max": 0.5, "scale": "log"},
            }
        )
    }
    throughput = Throughput(
        samples_per_second=36800.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> SeriesTable:
        """Open the files as one table of series."""
        return SeriesTable(files, work, self.parse_options(work.request.recipe.options))

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return a network that begins at the mean of the past seasons."""
        from training.seasonal import Clock, Forecaster

        past, start, names = _features(schema)
        return Forecaster(
            history=_steps(schema),
            season=round(past.statistics["season"]),
            horizon=len(schema.labels),
            mean=schema.statistics["mean"],
            std=schema.scale,
            clock=Clock(step=Step.of(start.statistics).length, span=start.statistics["span"]),
            series=len(names.vocabulary) if names else 0,
            hidden=options.hidden,
            embedding=options.embedding,
        )

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return the mean absolute error, smooth near 0 (Huber), over each row's steps that are known."""
        from torch.nn import functional

        wanted = (labels - schema.statistics["mean"]) / schema.scale
        known = ~labels.isnan()
        errors = functional.smooth_l1_loss(outputs, wanted.where(known, outputs), beta=0.1, reduction="none")
        return errors.sum(dim=1) / known.sum(dim=1)

    def answer(self, outputs: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return the forecast in the target's units; of what was never below 0, it is not below 0 either."""
        values = super().answer(outputs, schema)
        return values.clamp(min=0.0) if schema.statistics["min"] >= 0 else values

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Return mase, smape, mae and rmse."""
        return forecasts.metrics(answers, rows[LABEL], rows[ERROR])

    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """Return the seasonal naive forecast."""
        season = round(_features(schema)[0].statistics["season"])
        return seasons.repeat(rows[HISTORY], season, len(schema.labels))

    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return ``{"history": [value or null, ...], "start": time, "series": name or null}``."""
        _, _, names = _features(schema)
        row: dict[str, Any] = {
            "history": [None if np.isnan(value) else float(value) for value in arrays[HISTORY]],
            "start": to_text(int(arrays[START][0])),
        }
        if names:
            code = int(arrays[CATEGORY][0])
            row["series"] = names.vocabulary[code - 1] if code else None
        return row

    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return originals as the histories that this schema's model looks back to.

        Raises:
            ValueError: for another step between times, or less history than it needs.
        """
        (_, start, names), steps = _features(schema), _steps(schema)
        rows = [json.loads(original) for original in originals]
        here, wanted = Step.of(rows[0]["step"]), Step.of(start.statistics)
        if (here.seconds, here.months) != (wanted.seconds, wanted.months):
            raise ValueError(f"one {here} is a step here, and one {wanted} is what it learned from")
        shortest = min(len(row[HISTORY]) for row in rows)
        if shortest < steps:
            raise ValueError(f"it looks back {steps} steps, and there are {shortest} before the first forecast")
        arrays: dict[str, NDArray] = {
            HISTORY: np.array([row[HISTORY][-steps:] for row in rows], np.float64).astype(np.float32),
            START: np.array([[to_seconds(row["start"])] for row in rows], np.int64),
        }
        if names:
            codes = {name: code for code, name in enumerate(names.vocabulary, start=1)}
            arrays[CATEGORY] = np.array([[codes.get(row["series"], 0)] for row in rows], np.int64)
        return arrays


def _features(schema: Schema) -> tuple[Feature, Feature, Feature | None]:
    """Return what is forecast, when, and the series if there are several."""
    kinds = {feature.kind: feature for feature in schema.features}
    return kinds["history"], kinds["start"], kinds.get("category")


def _steps(schema: Schema) -> int:
    """Return how far the model looks back."""
    return next(tensor for tensor in schema.inputs if tensor.name == HISTORY).shape[1]


RECIPE = Forecast()
