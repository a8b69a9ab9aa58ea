"""Learns a straight line, or a plane: a weighted sum of the columns of a table.

A CSV file ``x,y`` needs no setting but ``recipe = "linear"``: the last column is what is learned. The mean squared
error is minimised by stochastic gradient descent; least squares in closed form gives the same line. Further
columns of numbers, dates and categories get weights of their own. The loss is convex, so the last weights are kept,
not those that a few validation rows happen to like best; [train] patience ends it earlier, with the last weights too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training.table_recipe import TableRecipe

if TYPE_CHECKING:
    from torch import nn

REACH = 1e6  # deviations from the mean that a line is followed for; keeps answers finite


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    task: str = setting(
        "What the target holds: values, or classes (logistic regression). auto decides as recipe tabular does.",
        default="regression", choices=("auto", "classification", "regression"),
    )  # fmt: skip
    max_vocabulary: int = setting(
        "Values of one category that have a weight of their own, the most frequent ones.",
        default=1000, minimum=1, maximum=100_000,
    )  # fmt: skip
    buckets: int = setting(
        "Most groups that the other values of a category are put into by hash; 0 takes them all for missing.",
        default=256, minimum=0, maximum=100_000,
    )  # fmt: skip


class Linear(TableRecipe):
    """The recipe."""

    summary = (
        "Learns values as a weighted sum of the columns: a straight line through x and y, or a plane through more."
    )
    when = (
        "A value that grows in proportion to others, few rows, or a model that anybody can check by hand. It is also "
        "the honest yardstick for tabular. A CSV file of x and y needs no setting: the last column is learned, unless "
        "prepare.target names another."
    )
    examples = "linear"
    metric = {"regression": "rmse", "classification": "accuracy"}
    keeps_best = False
    options = Options
    searches = {
        "linear": Search(
            ranges={
                "learning_rate": {"min": 3e-3, "max": 2e-1, "scale": "log"},
                "batch_size": {"choices": [8, 16, 32, 64]},
            }
        )
    }
    defaults = {
        "train": {
            "epochs": 40,
            "batch_size": 16,
            "learning_rate": 0.05,
            "weight_decay": 0.0,
            "optimiser": "sgd",
            "momentum": 0.9,
            "checkpoint_every": 10,
            "instance": "ml.m5.large",
        }
    }
    throughput = Throughput(
        samples_per_second=20000.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return a linear function of standardised numbers and of categories."""
        from training import layers

        numbers, codes = layers.table(schema)
        front = layers.Standardise(numbers, clip=REACH) if numbers else None
        return layers.Additive(front, codes, len(schema.labels))


RECIPE = Linear()
