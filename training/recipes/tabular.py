"""Classifies the rows of a table: any CSV or Parquet file with a target column.

How columns become numbers and categories: :mod:`training.columns`. Missing values
are learned from too: the network is told where numbers are missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from contract.values import round_down
from training.columns import to_numbers
from training.recipes import Preparation, Recipe
from training.rows import Rows
from training.table import CATEGORY, NUMERIC, Table

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    hidden: int = setting("Units of each hidden layer.", default=128, minimum=4, maximum=4096)
    layers: int = setting("Hidden layers.", default=2, minimum=1, maximum=8)
    embedding: int = setting("Numbers that describe one value of a category.", default=8, minimum=1, maximum=128)
    max_vocabulary: int = setting(
        "Values of one category that are told apart; rarer ones count as unknown.",
        default=1000, minimum=1, maximum=100_000,
    )  # fmt: skip


class Tabular(Recipe):
    """The recipe."""

    summary = "Classifies the rows of a table with a small network; numbers, categories, missing values."
    when = "Rows of numbers and categories, and a column to predict from the others."
    examples = "penguins"
    reader = "table"
    accepts = default_for = (".csv", ".parquet")
    needs_target = True
    options = Options
    read_options = ("max_vocabulary",)
    searches = {
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
    defaults = {"train": {"epochs": 20, "batch_size": 64, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(
        samples_per_second=56100.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> Table:
        """Open the files as one table."""
        options = self.parse_options(work.request.recipe.options)
        rows = Rows(files, work, work.request.prepare.target)
        return Table(rows, work, max_vocabulary=options.max_vocabulary)

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return a multi-layer perceptron over standardised numbers and embedded categories."""
        from torch import nn

        from training import layers

        numbers = [feature for feature in schema.features if feature.kind == "number"]
        categories = [feature for feature in schema.features if feature.kind == "category"]
        front = layers.Columns(
            layers.Standardise([feature.statistics for feature in numbers]) if numbers else None,
            layers.Embed([len(f.vocabulary) + 1 for f in categories], options.embedding) if categories else None,
        )
        blocks: list[nn.Module] = []
        width = front.width
        for _ in range(options.layers):
            blocks += [nn.Linear(width, options.hidden), nn.ReLU()]
            width = options.hidden
        return layers.Front(front, nn.Sequential(*blocks, nn.Linear(width, len(schema.labels))))

    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return ``{"column": value or null}``."""
        values: dict[str, Any] = {}
        position = {NUMERIC: 0, CATEGORY: 0}
        for feature in schema.features:
            tensor = NUMERIC if feature.kind == "number" else CATEGORY
            value = arrays[tensor][position[tensor]]
            position[tensor] += 1
            if tensor == NUMERIC:
                values[feature.name] = None if np.isnan(value) else float(value)
            else:
                values[feature.name] = feature.vocabulary[int(value) - 1] if value else None
        return values

    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return rows of text as numbers and codes; what is no number in a column of numbers is missing."""
        rows: list[dict[str, str]] = [json.loads(original) for original in originals]
        absent = [feature.name for feature in schema.features if feature.name not in rows[0]]
        if absent:
            raise ValueError(f"the column {absent[0]!r} is not among these rows")
        columns: dict[str, list[NDArray]] = {NUMERIC: [], CATEGORY: []}
        for feature in schema.features:
            cells = [row[feature.name] for row in rows]
            if feature.kind == "number":
                columns[NUMERIC].append(_numbers(cells, feature.multiple))
            else:
                codes = {word: code for code, word in enumerate(feature.vocabulary, start=1)}
                columns[CATEGORY].append(np.array([codes.get(cell, 0) for cell in cells], np.int64))
        return {name: np.stack(arrays, axis=1) for name, arrays in columns.items() if arrays}


def _numbers(cells: Sequence[str], multiple: float | None) -> NDArray[np.float32]:
    values = to_numbers(cells)[0].tolist()
    if multiple is not None:
        values = [value if np.isnan(value) else round_down(value, multiple) for value in values]
    return np.array(values, np.float32)


RECIPE = Tabular()
