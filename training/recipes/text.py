"""Classifies texts: tickets, reviews, messages; a column of texts and a column of classes.

Words are learned from the upload alone (no download, no pretrained model), so it wants some
hundred texts a class. By default it averages what it learned of each word; the transformer
also sees their order, and wants more texts and time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training import texts
from training.recipes import Preparation, Recipe
from training.rows import Rows

if TYPE_CHECKING:
    from torch import nn

MOST_HEADS = 8
RANGES: dict[str, dict[str, Any]] = {
    "learning_rate": {"min": 5e-4, "max": 2e-2, "scale": "log"},
    "batch_size": {"choices": [16, 32, 64, 128]},
    "options.width": {"choices": [32, 64, 128]},
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    text: str = setting("The column of texts; by default the one with the longest values.", default="")
    length: int = setting("Words of a text that are read; the rest is not.", default=64, minimum=4, maximum=512)
    max_vocabulary: int = setting(
        "Words that are told apart, the most frequent ones.", default=20_000, minimum=10, maximum=200_000
    )
    network: str = setting(
        "bag: the mean of the words; transformer: their order too.", default="bag", choices=("bag", "transformer")
    )
    width: int = setting("Numbers that describe a word.", default=64, minimum=8, maximum=1024)
    layers: int = setting("Layers of the transformer.", default=2, minimum=1, maximum=12)


class Text(Recipe):
    """The recipe."""

    summary = "Classifies texts by their words, with a bag of words or a small transformer."
    when = "A column of short texts in any language written with spaces, and a class for each."
    examples = "tickets"
    reader = "text"
    accepts = (".csv", ".parquet")
    needs_target = True
    options = Options
    read_options = ("text", "length", "max_vocabulary")
    searches = {
        "bag": Search(options={"network": "bag"}, ranges=RANGES),
        "transformer": Search(
            options={"network": "transformer"}, ranges=RANGES | {"options.layers": {"min": 1, "max": 3}}
        ),
    }
    narrows = ("width",)
    defaults = {"train": {"epochs": 12, "batch_size": 32, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(
        samples_per_second=16200.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> texts.Texts:
        """Open the files as one table."""
        options = self.parse_options(work.request.recipe.options)
        rows = Rows(files, work, work.request.prepare.target)
        return texts.Texts(
            rows, work, column=options.text, length=options.length, max_vocabulary=options.max_vocabulary
        )

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return the chosen one of training.language."""
        from training import language

        codes, classes = len(schema.features[0].vocabulary) + 2, len(schema.labels)
        if options.network == "bag":
            return language.Bag(codes=codes, classes=classes, width=options.width)
        return language.Transformer(
            codes=codes,
            classes=classes,
            width=options.width,
            length=schema.inputs[0].shape[1],
            layers=options.layers,
            heads=math.gcd(options.width, MOST_HEADS),
        )

    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return ``{"column": "a text"}``."""
        return texts.decode(arrays, schema)

    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return rows of text as word codes."""
        rows, name = [json.loads(original) for original in originals], schema.features[0].name
        if name not in rows[0]:
            raise ValueError(f"the column {name!r} is not among these rows")
        return texts.encode([row[name] for row in rows], schema)


RECIPE = Text()
