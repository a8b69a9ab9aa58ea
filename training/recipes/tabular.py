"""Learns one column of a table from the others: any CSV or Parquet file.

How columns become numbers, dates and categories: :mod:`training.columns`. Missing values
are learned from too: the network is told where numbers are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training.table_recipe import TableRecipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Settings of any network over the columns of a table."""

    hidden: int = setting("Units of each hidden layer.", default=128, minimum=4, maximum=4096)
    layers: int = setting("Hidden layers.", default=2, minimum=1, maximum=8)
    embedding: int = setting("Numbers that describe one value of a category.", default=8, minimum=1, maximum=128)
    max_vocabulary: int = setting(
        "Values of one category that are told apart, the most frequent ones.", default=1000, minimum=1, maximum=100_000
    )
    buckets: int = setting(
        "Most groups that the other values of a category are put into by hash; 0 takes them all for missing.",
        default=256, minimum=0, maximum=100_000,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options(Columns):
    """The recipe's own settings."""

    task: str = setting(
        "What the target holds. auto takes it for values where it has more than 20 different whole numbers, or more "
        "than two that are not whole.",
        default="auto", choices=("auto", "classification", "regression"),
    )  # fmt: skip


class Tabular(TableRecipe):
    """The recipe."""

    summary = "Learns classes or values from the rows of a table with a small network."
    when = (
        "Rows of numbers, dates and categories, and a column to predict from the others: a class (who will leave?) or "
        "a value (what will it cost?). Missing values are fine, and so are categories of thousands of values."
    )
    examples = "penguins"
    default_for: tuple[str, ...] = TableRecipe.accepts
    needs_target = True
    metric: Mapping[str, str] = {"classification": "accuracy", "regression": "rmse"}
    options: type = Options
    searches: Mapping[str, Search] = {
        "mlp": Search(
            ranges={
                "learning_rate": {"min": 3e-4, "max": 3e-2, "scale": "log"},
                "batch_size": {"choices": [32, 64, 128, 256]},
                "weight_decay": {"min": 1e-4, "max": 1e-1, "scale": "log"},
                "options.hidden": {"min": 32, "max": 256, "scale": "log"},
                "options.layers": {"min": 1, "max": 3},
            }
        )
    }
    narrows: tuple[str, ...] = ("hidden",)
    prunes = True
    defaults = {"train": {"epochs": 20, "batch_size": 64, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(
        samples_per_second=56100.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def network(self, schema: Schema, options: Columns) -> nn.Module:
        """Return a multi-layer perceptron over standardised numbers and embedded categories."""
        from torch import nn

        from training import layers

        front = layers.columns(schema, embedding=options.embedding)
        blocks: list[nn.Module] = []
        width = front.width
        for _ in range(options.layers):
            blocks += [nn.Linear(width, options.hidden), nn.ReLU()]
            width = options.hidden
        return layers.Front(front, nn.Sequential(*blocks, nn.Linear(width, len(schema.labels))))


RECIPE = Tabular()
