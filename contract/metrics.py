"""Training metrics: one log line an epoch, which SageMaker's MetricDefinitions read.

    epoch=3 train_loss=0.1234 validation_loss=0.1301 validation_accuracy=0.9712 samples_per_second=5400.0 seconds=0.27

The same values are in ``metrics.jsonl`` of the training job's output. ``METRICS`` are all
that models are compared by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract.recipes import load_recipes


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that tells how good predictions are."""

    doc: str
    higher_is_better: bool
    tasks: tuple[str, ...] = ("classification",)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(doc="share of rows whose class is right", higher_is_better=True),
    "macro_f1": Metric(doc="F1 of each class that occurs, averaged", higher_is_better=True),
    "log_loss": Metric(doc="mean of -log(probability of the true class)", higher_is_better=False),
    "average_precision": Metric(
        doc="area under precision over recall of the rare class (PR-AUC)", higher_is_better=True
    ),
    "roc_auc": Metric(doc="chance that a positive row ranks above a negative one", higher_is_better=True),
    "rmse": Metric(
        doc="root of the mean squared error, in the target's units", higher_is_better=False, tasks=("regression",)
    ),
    "mae": Metric(doc="mean absolute error, in the target's units", higher_is_better=False, tasks=("regression",)),
    "r2": Metric(doc="share of the target's variance that is explained", higher_is_better=True, tasks=("regression",)),
    "mase": Metric(
        doc="mean absolute error relative to the seasonal naive forecast's",
        higher_is_better=False,
        tasks=("regression",),
    ),
    "smape": Metric(
        doc="absolute error relative to the mean of both sizes, averaged",
        higher_is_better=False,
        tasks=("regression",),
    ),
    "ndcg_at_10": Metric(doc="how high the relevant items rank among the first ten", higher_is_better=True),
    "recall_at_10": Metric(doc="share of the relevant items among the first ten", higher_is_better=True),
}

COMMON = ("epoch", "train_loss", "validation_loss", "samples_per_second", "seconds")
_NUMBER = r"([-+]?(?:[0-9]*\.)?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def names() -> tuple[str, ...]:
    """Return the metrics that any recipe logs."""
    metrics = {f"validation_{metric}" for recipe in load_recipes().values() for metric in recipe.metric.values()}
    return COMMON + tuple(sorted(metrics))


def definitions() -> list[dict[str, str]]:
    """Return SageMaker's MetricDefinitions for :func:`line`."""
    return [{"Name": name, "Regex": rf"\b{name}={_NUMBER}"} for name in names()]


def line(values: Mapping[str, float]) -> str:
    """Return the log line of one epoch."""
    return " ".join(f"{name}={value:.6g}" for name, value in values.items())


def parse_line(text: str) -> dict[str, float]:
    """Return the metrics in a log line; empty when it is no such line."""
    if not text.startswith("epoch="):
        return {}
    pairs = [pair.partition("=") for pair in text.split()]
    try:
        return {name: float(value) for name, _, value in pairs}
    except ValueError:  # a program of the user's may print something that begins alike
        return {}
