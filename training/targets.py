"""The column that is learned: classes or values, and how to tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.values import to_number
from training.checks import check_classes
from training.columns import Moments, Tally, to_numbers

FEW = 20  # different whole numbers that still look like classes
LONG = 1000  # digits that are no whole number any more, but text
AUTO = "auto"


class Target(ABC):
    """The target while the rows are read."""

    task: str

    def __init__(self, name: str) -> None:
        self.name = name

    def mistakes(self, cells: Sequence[str]) -> NDArray[np.bool_]:
        """Return which cells cannot be learned."""
        return np.zeros(len(cells), np.bool_)

    @abstractmethod
    def learn(self, cells: Sequence[str], train: NDArray[np.bool_]) -> None:
        """Take in good rows; ``train`` says which ones are training rows."""

    @abstractmethod
    def merge(self, other: Any) -> None:
        """Take in what a target of the same kind learned from other rows."""

    @abstractmethod
    def encode(self, cells: Sequence[str]) -> NDArray:
        """Return the labels of good rows, once all have been learned."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return what a Schema says of the target."""


class Classes(Target):
    """Each different text is a class."""

    task = "classification"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._counts = Counter[str]()

    def learn(self, cells: Sequence[str], train: NDArray[np.bool_]) -> None:
        """Count the classes of all rows."""
        self._counts.update(cells)
        check_classes(len(self._counts), self.name)

    def merge(self, other: Classes) -> None:
        """Add up the classes of all rows."""
        self._counts.update(other._counts)
        check_classes(len(self._counts), self.name)

    def encode(self, cells: Sequence[str]) -> NDArray[np.int64]:
        """Return class codes [n]."""
        codes = {label: code for code, label in enumerate(_in_order(self._counts))}
        return np.array([codes[cell] for cell in cells], np.int64)

    def schema(self) -> dict[str, Any]:
        """Return task, labels, target."""
        return {"task": self.task, "target": self.name, "labels": tuple(_in_order(self._counts))}


class Values(Target):
    """Every value is a number."""

    task = "regression"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._moments = Moments(columns=1)

    def mistakes(self, cells: Sequence[str]) -> NDArray[np.bool_]:
        """Return which cells are no numbers."""
        return to_numbers(cells)[1]

    def learn(self, cells: Sequence[str], train: NDArray[np.bool_]) -> None:
        """Gather the statistics of the training rows."""
        self._moments.add(to_numbers(cells)[0][train][:, None])

    def merge(self, other: Values) -> None:
        """Add up the statistics of the training rows."""
        self._moments.merge(other._moments)

    def encode(self, cells: Sequence[str]) -> NDArray[np.float32]:
        """Return values [n, 1]."""
        return to_numbers(cells)[0][:, None].astype(np.float32)

    def schema(self) -> dict[str, Any]:
        """Return task, labels, target, statistics."""
        statistics = self._moments.statistics(0)
        kept = {name: statistics[name] for name in ("mean", "std", "min", "max")}
        return {"task": self.task, "target": self.name, "labels": (self.name,), "statistics": kept}


@dataclass(kw_only=True)
class TargetTally:
    """What a first look at the target found."""

    tally: Tally = field(default_factory=Tally)
    whole: bool = True  # whether each number was one
    different: set[str] = field(default_factory=set)  # the first few

    def add(self, cells: Sequence[str]) -> None:
        """Count some more cells."""
        self.tally.add(cells)
        if len(self.different) <= FEW:
            for cell in cells:
                self.different.add(cell)
                if len(self.different) > FEW:
                    break
        self.whole = self.whole and all(to_number(cell).is_integer() for cell in cells if _is_number(cell))

    def merge(self, other: TargetTally) -> None:
        """Take in what a look at other rows found."""
        self.tally.merge(other.tally)
        self.whole = self.whole and other.whole
        self.different |= other.different

    def are_values(self) -> bool:
        """Whether they look like values, not like the names of classes."""
        many = len(self.different) > (FEW if self.whole else 2)
        return many and self.tally.is_number()


def choose(wanted: str, can: Collection[str], name: str, found: TargetTally, *, text: bool) -> tuple[Target, str]:
    """Return the target, and a note where its values decided that.

    Args:
        wanted: the option ``task``: auto, classification or regression.
        can: the tasks that the recipe learns.
        name: of the column.
        found: what a first look at it found.
        text: whether the file itself says that its values are no numbers.
    """
    kinds: dict[str, type[Target]] = {kind.task: kind for kind in (Classes, Values)}
    only = wanted if wanted != AUTO else next(iter(can)) if len(can) == 1 else ""
    if only:
        return kinds[only](name), ""
    values = found.are_values() and not text
    task, other = ("regression", "classification") if values else ("classification", "regression")
    if text or not found.tally.is_number():
        return kinds[task](name), ""
    count = f"more than {FEW}" if len(found.different) > FEW else str(len(found.different))
    kind = "whole numbers" if found.whole else "numbers"
    decided = f"target {name!r} holds {count} different {kind}, so this is {task}"
    return kinds[task](name), f'{decided}; recipe.task = "{other}" decides otherwise'


def _is_number(cell: str) -> bool:
    return to_number(cell) == to_number(cell)


def _in_order(labels: Counter[str]) -> list[str]:
    """Return class names in order: by value when all are whole numbers, else by text."""
    whole = all(label.isascii() and label.removeprefix("-").isdecimal() and len(label) < LONG for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels)
