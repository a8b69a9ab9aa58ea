"""Recommends: how a user would rate an item, or which items a user will choose. How an upload becomes rows, those of
what was not chosen too: :mod:`training.ratings`; the network: :mod:`training.factors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training.choices import ranking
from training.data import LABEL, Split
from training.encoding import CATEGORY
from training.ratings import GROUP, YES, Ratings
from training.recipes import Preparation
from training.table_recipe import TableRecipe

if TYPE_CHECKING:
    from torch import nn

DAMPING = 5  # ratings at the mean that an item, or a user, of few ratings is thought to have besides


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    user: str = setting("Column of the users.", default="user")
    item: str = setting("Column of the items.", default="item")
    embedding: int = setting("Numbers that describe the taste of one user, and the style of one item.",
                             default=8, minimum=1, maximum=512)  # fmt: skip
    negatives: int = setting(
        "Items not chosen that are learned with each choice, where there are no ratings.",
        default=4, minimum=1, maximum=50,
    )  # fmt: skip
    max_vocabulary: int = setting(
        "Users, and items, that are told apart, the most frequent first; others are unknown.",
        default=200_000, minimum=2, maximum=2_000_000,
    )  # fmt: skip


class Recommend(TableRecipe):
    """The recipe."""

    summary = (
        "Recommends: what a user would give an item, from ratings; or which items a user will choose, from choices."
    )
    when = (
        "A row for each rating, purchase or click: who, and what. With prepare.target, the column of the ratings, the "
        "model predicts them; without it, it ranks items by how likely they are to be chosen: the probabilities are "
        "among items drawn alike often, for the order, not for forecasts of sales."
    )
    examples = "films"
    reader = "ratings"
    metric = {"regression": "rmse", "classification": "ndcg_at_10"}
    options = Options
    read_options = ("user", "item", "negatives", "max_vocabulary")
    narrows = ("embedding",)
    defaults = {"train": {"epochs": 12, "batch_size": 256, "learning_rate": 0.01, "weight_decay": 0.3}}
    searches: Mapping[str, Search] = {
        "factors": Search(
            ranges={
                "learning_rate": {"min": 0.002, "max": 0.03, "scale": "log"},
                "weight_decay": {"min": 0.01, "max": 1.0, "scale": "log"},
                "options.embedding": {"min": 4, "max": 64, "scale": "log"},
            }
        )
    }
    throughput = Throughput(
        samples_per_second=204500.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> Ratings:
        """Open the files as one table of ratings or choices."""
        return Ratings(files, work, self.parse_options(work.request.recipe.options))

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return a matrix factorisation with biases."""
        from training.factors import Factors

        user, item = schema.features
        return Factors(
            users=len(user.vocabulary),
            items=len(item.vocabulary),
            size=options.embedding,
            classes=schema.task == "classification",
        )

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Return those of the task; of choices, also how high each ranks among its rivals."""
        found = super().metrics(answers, rows, schema)
        if schema.task == "classification":
            found |= ranking(answers[:, schema.labels.index(YES)], rows[LABEL], rows[GROUP])
        return found

    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """Return means, or popularity."""
        arrays = train.everything()
        counts = [len(feature.vocabulary) + 1 for feature in schema.features]
        learned, asked = arrays[CATEGORY].T, rows[CATEGORY].T
        if schema.task == "classification":
            chosen = np.bincount(learned[1][arrays[LABEL] == schema.labels.index(YES)], minlength=counts[1])
            share = chosen[asked[1]] / (chosen.max() + 1)
            return np.stack([1 - share, share], axis=1)
        rest = arrays[LABEL][:, 0].astype(float) - schema.statistics["mean"]
        answer = np.full(len(rows[LABEL]), schema.statistics["mean"])
        for place in (1, 0):
            sums = np.bincount(learned[place], rest, minlength=counts[place])
            mean = sums / (np.bincount(learned[place], minlength=counts[place]) + DAMPING)
            rest, answer = rest - mean[learned[place]], answer + mean[asked[place]]
        return answer[:, None]

    def describe_baseline(self, task: str) -> str:
        """Return what the baseline does, in words."""
        if task == "regression":
            return "the item's mean rating, corrected by how generous the user is"
        return "ranking items by how often they are chosen"


RECIPE = Recommend()
