"""Recipes: what to learn and how. One file each, found by name.

A recipe's file defines a subclass of :class:`Recipe` and ``RECIPE``, one instance
of it. Reading uploads must work without torch, because preparation also runs in
Lambda: only ``network``, ``loss`` and ``answer`` may import it, inside the function.

``python -m training.recipes`` writes ``contract/recipes.json``, from which the
other rooms know the recipes.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.errors import InvalidConfig, nearest
from contract.frameworks import TORCH
from contract.manifest import Schema
from contract.parsing import parse
from contract.recipes import Search, Throughput
from contract.request import RunRequest
from training.data import Split
from training.engine import Embedded, Engine
from training.rejection import Quarantine
from training.split import Splitter
from training.tasks import TASKS

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a recipe needs to read an upload."""

    request: RunRequest
    splitter: Splitter
    quarantine: Quarantine
    salt: bytes  # the tenant's; empty when nothing is hashed
    engine: Engine = field(default_factory=Embedded)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some prepared rows.

    ``arrays`` are those of a shard (inputs, ``label``, ``row``), n rows each;
    ``content`` n digests of what the model would see, ``split`` n numbers into
    ``contract.keys.SPLITS``, ``originals`` those of the test rows (training.originals).
    """

    arrays: Mapping[str, NDArray]
    content: Sequence[bytes]
    split: NDArray[np.int8]
    originals: Sequence[bytes]
    part: int = 0  # of the upload; the shards of different parts are different


class Source(Protocol):
    """An upload that a recipe has opened."""

    notes: list[str]  # what a person should know of an accepted dataset
    anonymised: dict[str, str]  # what was done to each column marked by [privacy]

    def chunks(self) -> Iterator[Chunk]:
        """Yield all good rows; set the bad ones aside in the quarantine."""

    def schema(self) -> Schema:
        """Return how the rows look; complete once ``chunks`` is exhausted."""


class Recipe(ABC):
    """One way to learn. The defaults of these methods are those of the dataset's task (training.tasks)."""

    name: str
    summary: str  # what it learns, in a line
    when: str  # when to choose it, for people
    examples = ""  # folder of examples/ that shows it
    reader: str  # format of the dataset: "table", "images", ...; recipes of one reader understand the same originals
    accepts: tuple[str, ...]
    default_for: tuple[str, ...] = ()  # file name endings that it is taken for when no recipe is named
    needs_target = False
    framework = TORCH  # a key of contract.frameworks
    metric: Mapping[str, str] = {"classification": "accuracy"}  # what is compared, by task that it learns
    baseline_name = ""  # what its baseline does, in words; empty for the task's
    keeps_best = True  # the weights of the best epoch on the validation rows; False: the last ones (convex losses)
    options: type  # a frozen dataclass of contract.parsing.setting fields
    defaults: Mapping[str, Mapping[str, Any]]
    read_options: tuple[str, ...] = ()  # options that ``read`` depends on: the same for all jobs of a search
    searches: Mapping[str, Search] = {}  # what automatic search may try with it
    throughput: Throughput  # as benchmarks/throughput.py measured it
    narrows: tuple[str, ...] = ()  # options in whose proportion the network has channels or units
    prunes = False  # whether the network's layers are one chain, of which training.shrink can remove channels
    branched: tuple[str, ...] = ()  # values of the option ``network`` with which they are not

    @abstractmethod
    def read(self, files: Sequence[Path], work: Preparation) -> Source:
        """Open an upload.

        Raises:
            Rejected: when nothing can be learned from it.
        """

    @abstractmethod
    def network(self, schema: Schema, options: Any) -> nn.Module:
        """Return the untrained network.

        It takes the schema's inputs in order, n rows each, as they are in a shard,
        and returns float32 [n, labels]: logits, or values whose mean over the training rows is 0 and whose deviation is
        1 (schema.statistics). Normalisation and imputation are part of it.
        """

    @abstractmethod
    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return one row (arrays without a batch dimension) as a prediction request has it: JSON-ready."""

    @abstractmethod
    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return originals (training.originals) as inputs of a model with this schema, as its server would.

        Raises:
            ValueError: for originals that lack what the schema needs; the message says what.
        """

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return the loss of each row, float32 [n], of the network's outputs [n, labels]."""
        return TASKS[schema.task].loss(outputs, labels, schema)

    def answer(self, outputs: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return what the served model answers, float32 [n, labels]: probabilities, or values in the target's units."""
        return TASKS[schema.task].answer(outputs, schema)

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Return the metrics of answers [n, labels] to rows; ``schema.metric`` is one of them.

        ``rows`` are the arrays of those rows as they are in a shard, ``label`` among them.
        """
        return TASKS[schema.task].metrics(answers, rows, schema)

    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """Return what the baseline, which learned from ``train`` as little as its name says, answers to ``rows``."""
        return TASKS[schema.task].baseline(train, rows, schema)

    def describe_baseline(self, task: str) -> str:
        """Return what the baseline does, in words."""
        return self.baseline_name or TASKS[task].baseline_name

    def narrower(self, options: Any, share: float) -> Any:
        """Return options of a network that lacks ``share`` of the channels or units, in multiples of 4."""
        kept = {name: 4 * math.ceil(getattr(options, name) * (1 - share) / 4) for name in self.narrows}
        return replace(options, **kept)

    def parse_options(self, options: Mapping[str, Any]) -> Any:
        """Return this recipe's options, checked."""
        return parse(self.options, options, "recipe")


def names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        InvalidConfig: when there is none of that name.
    """
    if name not in names():
        raise InvalidConfig("recipe", name, "one of " + ", ".join(names()), nearest(name, names()))
    recipe: Recipe = importlib.import_module(f"{__name__}.{name}").RECIPE
    recipe.name = name
    return recipe
