"""Finds the rare rows of a table: fraud, failing machines, churn.

A table with two classes, of which one is rare. Accuracy says nothing there: whoever answers
"all is well" is nearly always right. So what is compared is the average precision (PR-AUC) of the
rare class, which a model that knows nothing scores as high as that class is frequent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contract import keys
from contract.errors import nearest
from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training import metrics
from training.data import LABEL
from training.recipes import Chunk, Preparation, Source, tabular
from training.rejection import Rejected
from training.split import TRAIN

if TYPE_CHECKING:
    import torch

RARE, SHARE = "rare", "share"
"""In the schema's statistics: the code of the class that is looked for, and its share of the training rows."""
LEAST = {"train": 5, "validation": 1, "test": 5}
"""Rows of the rare class that each split needs."""


@dataclass(frozen=True, kw_only=True)
class Options(tabular.Columns):
    """The recipe's own settings: those of ``tabular``, and what is looked for."""

    task = "classification"

    find: str = setting("The class that is looked for; by default the rarer of the two.", default="")


class Anomaly(tabular.Tabular):
    """The recipe."""

    summary = "Finds the rare rows of a table: fraud, failing machines; classes may be as unequal as 1 to 1,000."
    when = (
        "Two classes of which one is rare, and what matters is to rank its rows first. Rare rows weigh more while it "
        "learns, so its probabilities of the rare class are too high to be taken for frequencies."
    )
    examples = "pumps"
    default_for = ()
    metric = {"classification": "average_precision"}
    baseline_name = "ranking all rows the same"
    options = Options
    read_options = ("max_vocabulary", "buckets", "find")
    searches = {
        "mlp": Search(
            ranges={
                "learning_rate": {"min": 3e-4, "max": 3e-2, "scale": "log"},
                "batch_size": {"choices": [64, 128, 256]},
                "weight_decay": {"min": 1e-4, "max": 1e-1, "scale": "log"},
                "options.hidden": {"min": 32, "max": 256, "scale": "log"},
            }
        )
    }
    defaults = {"train": {"epochs": 20, "batch_size": 128, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(
        samples_per_second=56400.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> Rare:
        """Open the files as one table of two classes."""
        return Rare(super().read(files, work), self.parse_options(work.request.recipe.options).find)

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Cross entropy in which a rare row weighs more: the square root of the odds against it.

        That is half way between counting every row the same, which learns little of the rare class, and
        letting both classes weigh the same in sum, which hangs on a few rows.
        """
        import torch

        share = schema.statistics[SHARE]
        is_rare = labels == int(schema.statistics[RARE])
        return super().loss(outputs, labels, schema) * torch.where(is_rare, math.sqrt((1 - share) / share), 1.0)

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Average precision and ROC AUC of the rare class, then what any classification has."""
        rare = int(schema.statistics[RARE])
        ranking = metrics.ranking(answers[:, rare], rows[LABEL] == rare)
        return ranking | super().metrics(answers, rows, schema)


class Rare:
    """A table of two classes whose schema says which is the rare one.

    Args:
        table: the rows.
        find: the class that is looked for; empty for the rarer.

    Raises:
        Rejected: when there are not two classes, or none is called ``find``.
    """

    def __init__(self, table: Source, find: str) -> None:
        self._table, self._labels = table, table.schema().labels
        self.notes, self.anonymised = table.notes, table.anonymised
        if len(self._labels) != 2:
            raise Rejected(
                f"{table.schema().target!r} has {len(self._labels)} classes; this recipe tells a rare one from one "
                "other, so exactly 2 are needed: take recipe 'tabular' for more"
            )
        if find and find not in self._labels:
            raise Rejected(
                f"recipe.find is {find!r}; the classes are {' and '.join(map(repr, self._labels))}"
                f"{nearest(find, self._labels)}"
            )
        self._find = find
        self._counts = np.zeros((len(keys.SPLITS), 2), np.int64)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the table's, counting the classes of each split."""
        for chunk in self._table.chunks():
            np.add.at(self._counts, (chunk.split, chunk.arrays[LABEL]), 1)
            yield chunk

    def schema(self) -> Schema:
        """Return the table's, with the rare class in its statistics.

        Raises:
            Rejected: when a split has too few rows of it.
        """
        train = self._counts[TRAIN]
        rare = self._labels.index(self._find) if self._find else int(train.argmin())
        for number, split in enumerate(keys.SPLITS):
            if self._counts[number, rare] < LEAST[split]:
                raise Rejected(
                    f"{split} got {self._counts[number, rare]} rows of the class {self._labels[rare]!r}, at least "
                    f"{LEAST[split]} are needed: add rows of it, or raise prepare.{split}_fraction"
                )
        statistics = {RARE: float(rare), SHARE: float(train[rare] / train.sum())}
        return replace(self._table.schema(), metric="average_precision", statistics=statistics)


RECIPE = Anomaly()
