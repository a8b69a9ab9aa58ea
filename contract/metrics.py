"""Training metrics: one log line an epoch, which SageMaker's MetricDefinitions read.

    epoch=3 train_loss=0.1234 validation_loss=0.1301 validation_accuracy=0.9712 samples_per_second=5400.0 seconds=0.27

The same values are in ``metrics.jsonl`` of the training job's output.
"""

from __future__ import annotations

from collections.abc import Mapping

from contract.recipes import load_recipes

COMMON = ("epoch", "train_loss", "validation_loss", "samples_per_second", "seconds")
_NUMBER = r"([-+]?(?:[0-9]*\.)?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def names() -> tuple[str, ...]:
    """Return the metrics that any recipe logs."""
    metrics = {f"validation_{recipe.metric}" for recipe in load_recipes().values()}
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
