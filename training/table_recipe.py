"""What the recipes that learn from the rows of a table share: reading, requests, a champion's rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from contract.manifest import Schema
from training.encoding import decode, encode
from training.recipes import Preparation, Recipe, Source
from training.rows import Rows
from training.table import Table
from training.tables import open_table


class TableRecipe(Recipe):
    """A recipe over the columns of a table; :mod:`training.columns` says what they become."""

    reader = "table"
    accepts: tuple[str, ...] = (".csv", ".parquet")
    read_options: tuple[str, ...] = ("task", "max_vocabulary", "buckets")

    def read(self, files: Sequence[Path], work: Preparation) -> Source:
        """Open the files as one table."""
        target = work.request.prepare.target or last_column(files[0], work)
        settings = self.parse_options(work.request.recipe.options)
        table = Table(Rows(files, work, target), work, target=target, metric=self.metric, settings=settings)
        if not work.request.prepare.target:
            table.notes.insert(0, f"prepare.target names no column: the last one, {target!r}, is learned")
        return table

    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return ``{"column": value or null}``."""
        return decode(arrays, schema)

    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return rows of text as numbers and codes; what is no number in a column of numbers is missing."""
        rows: list[dict[str, str]] = [json.loads(original) for original in originals]
        absent = [feature.name for feature in schema.features if feature.name not in rows[0]]
        if absent:
            raise ValueError(f"the column {absent[0]!r} is not among these rows")
        return encode(schema.features, lambda name: [row[name] for row in rows])


def last_column(file: Path, work: Preparation) -> str:
    """Return the last column that no setting names: what a table of x and y is meant to predict."""
    columns, privacy = open_table(file).columns, work.request.privacy
    named = {*work.request.prepare.exclude, *privacy.drop, *privacy.hash, *privacy.generalise}
    return next((name for name in reversed(columns) if name not in named), columns[-1])
