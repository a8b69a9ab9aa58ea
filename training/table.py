"""A table upload as a source of rows: typed, learned from, encoded.

It is read three times, so that no table has to fit in memory: to see what each
column is, to learn statistics and vocabularies from the training rows, and to encode.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.config import Privacy
from contract.dates import DATE_PARTS, DAYS, EXPECTED, PARTS
from contract.manifest import Feature, Schema
from training import targets
from training.columns import Moments, Tally, Words, canonical, to_numbers
from training.data import LABEL, ROW
from training.encoding import CATEGORY, NUMERIC, encode, tensors, to_dates
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.split import TEST, TRAIN

__all__ = ["CATEGORY", "NUMERIC", "Table"]

NAMED = 5  # columns that a note is given each
T = TypeVar("T")
Look = tuple[int, targets.TargetTally, dict[str, Tally]]  # good rows, the target, each column
Learned = tuple[Moments, Moments, dict[str, Words], targets.Target]  # numbers, dates, categories, the target


class Settings(Protocol):
    """What the recipe's options say of reading."""

    @property
    def task(self) -> str:
        """auto, classification or regression."""

    @property
    def max_vocabulary(self) -> int:
        """Values of one category that are told apart."""

    @property
    def buckets(self) -> int:
        """Most buckets that the other values of a category are hashed into."""


class Table:
    """The table of an upload.

    Args:
        rows: its rows.
        work: what preparation lends.
        target: the column that is learned.
        metric: what is compared, by task that the recipe learns.
        settings: the recipe's options.

    Raises:
        Rejected: when there is no usable column or row.
    """

    def __init__(
        self, rows: Rows, work: Preparation, *, target: str, metric: Mapping[str, str], settings: Settings
    ) -> None:
        self.notes: list[str] = []
        self.anonymised = rows.anonymised
        self._rows, self._splitter = rows, work.splitter
        self._privacy: Privacy = work.request.privacy
        self._metric, self._settings = metric, settings
        self._content = sorted(rows.columns)  # the same digest whatever the order of the columns
        self._look(target)
        self._learn()

    def _look(self, target: str) -> None:
        """See what each column is: the target, a number, a date or a category."""
        count, found, tallies = functools.reduce(_merge_looks, self._rows.each_part(partial(self._look_at, target)))
        if not count:
            raise Rejected("the upload holds no good row below the header")
        if not tallies:
            raise Rejected(f"there is no column to learn from besides the target {target!r}")
        filled = [name for name, tally in tallies.items() if tally.filled]
        if not filled:
            raise Rejected("every value of every column but the target is missing")
        self._target, note = targets.choose(
            self._settings.task, self._metric, target, found, text=target in self._rows.words
        )
        self.notes += [note] if note else []
        self._note_left_out([name for name, tally in tallies.items() if not tally.filled], "has no value")
        self._numbers = [name for name in filled if name not in self._rows.words and tallies[name].is_number()]
        self._dates = [name for name in filled if tallies[name].is_date()]
        self._times = {name for name in self._dates if tallies[name].times}
        self._categories = [name for name in filled if name not in {*self._numbers, *self._dates}]
        self._note_almost(tallies)

    def _look_at(self, target: str, part: int) -> Look:
        """Return what a first look at a part finds."""
        tallies, found = {name: Tally() for name in self._rows.columns}, targets.TargetTally()
        count = 0
        for block in self._rows.part(part):
            count += len(block)
            found.add(block.column(target))
            for name, tally in tallies.items():
                tally.add(block.column(name))
        return count, found, tallies

    def _learn(self) -> None:
        """Gather statistics and vocabularies from the training rows, the target's of all; set mistakes aside."""
        numbers, dates, words, target = functools.reduce(_merge_learned, self._rows.each_part(self._learn_from))
        self._target = target
        self._features = [
            *self._number_features(numbers),
            *self._date_features(dates),
            *self._category_features(words),
        ]
        if not self._features:
            raise Rejected("there is no column to learn from: no value of any category occurs twice")

    def _learn_from(self, part: int) -> Learned:
        """Return what is learned from a part."""
        moments = Moments(columns=len(self._numbers)), Moments(columns=len(self._dates) * len(PARTS))
        words, target = {name: Words() for name in self._categories}, copy.deepcopy(self._target)
        for block in self._rows.part(part):
            values, good = self._check(block)
            block = block.where(good.tolist())
            train = self._split(self._digests(block)) == TRAIN
            for gathered, matrix in zip(moments, values, strict=True):
                gathered.add(matrix[good][train])
            learned = block.where(train.tolist())
            for name, seen in words.items():
                seen.add(learned.column(name))
            target.learn(block.column(target.name), train)
        return *moments, words, target

    def chunks(self) -> Iterator[Chunk]:
        """Yield the good rows, encoded."""
        return itertools.chain.from_iterable(self.part(part) for part in range(len(self._rows.found)))

    def each_part(self, function: Callable[[int], T]) -> Iterator[T]:
        """Yield what ``function`` makes of each part, wherever the engine has it done."""
        return self._rows.each_part(function)

    def part(self, part: int) -> Iterator[Chunk]:
        """Yield the good rows of one part, encoded."""
        for block in self._rows.part(part):
            arrays: dict[str, NDArray] = {
                LABEL: self._target.encode(block.column(self._target.name)),
                ROW: np.array([line.number for line in block.lines], np.int64),
                **encode(self._features, block.column),
            }
            digests = self._digests(block)
            split = self._split(digests)
            held_out = self._originals(block.where((split == TEST).tolist()))
            yield Chunk(arrays=arrays, content=digests, split=split, originals=held_out, part=part)

    def _originals(self, block: Block) -> list[bytes]:
        """Return rows as the champion is asked them: with the columns that this model may not see, too."""
        names = [name for name in block.places if name != self._target.name]
        rows = zip(*(block.column(name) for name in names), strict=True)
        return [json.dumps(dict(zip(names, cells, strict=True))).encode() for cells in rows]

    def schema(self) -> Schema:
        """Return the signature: numbers, categories, or both."""
        return Schema(
            inputs=tensors(self._features),
            features=tuple(self._features),
            metric=self._metric[self._target.task],
            **self._target.schema(),
        )

    def _check(self, block: Block) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]:
        """Return numbers and parts of dates [n, columns], and which rows have no mistake; the others are set aside."""
        numbers = np.empty((len(block), len(self._numbers)))
        parts = np.empty((len(block), len(self._dates), len(PARTS)))
        wrong = np.zeros(len(block), np.bool_)
        number = "is no number, or too large a one"
        for place, name in enumerate(self._numbers):
            numbers[:, place], mistakes = to_numbers(block.column(name))
            self._set_aside(block, name, mistakes, wrong, number)
        for place, name in enumerate(self._dates):
            dates, mistakes = to_dates(block.column(name))
            parts[:, place] = np.array([[date[part] for part in PARTS] for date in dates]).reshape(-1, len(PARTS))
            self._set_aside(block, name, mistakes, wrong, f"is no date; expected {EXPECTED}")
        target = self._target.name
        self._set_aside(block, target, self._target.mistakes(block.column(target)), wrong, number)
        return (numbers, parts.reshape(len(block), -1)), ~wrong

    def _set_aside(
        self, block: Block, name: str, mistakes: NDArray[np.bool_], wrong: NDArray[np.bool_], why: str
    ) -> None:
        """Set rows with mistakes aside, but those that are known to be wrong already; mark them."""
        if not mistakes.any():
            return
        cells = block.column(name)
        for index in np.flatnonzero(mistakes & ~wrong):
            self._rows.set_aside(block.lines[int(index)], f"in column {name!r} {why}", cells[index])
        wrong |= mistakes

    def _digests(self, block: Block) -> list[bytes]:
        """Return digests of what the model may see of each row."""
        rows = zip(*(block.column(name) for name in self._content), strict=True)
        return [self._splitter.digest("\x1f".join(map(canonical, cells)).encode()) for cells in rows]

    def _split(self, digests: Sequence[bytes]) -> NDArray[np.int8]:
        return np.array([self._splitter.split(digest) for digest in digests], np.int8)

    def _number_features(self, moments: Moments) -> Iterator[Feature]:
        for place, name in enumerate(self._numbers):
            yield Feature(
                name=name,
                kind="number",
                multiple=self._privacy.generalise.get(name),
                statistics=moments.statistics(place),
            )

    def _date_features(self, moments: Moments) -> Iterator[Feature]:
        for place, name in enumerate(self._dates):
            for part in PARTS if name in self._times else DATE_PARTS:
                found = moments.statistics(place * len(PARTS) + PARTS.index(part))
                told = found if part == DAYS else found | {"missing": 0.0}  # that a date is missing is told once
                yield Feature(name=name, kind="date", part=part, statistics=told)

    def _category_features(self, words: dict[str, Words]) -> Iterator[Feature]:
        useless = []
        for name, seen in words.items():
            vocabulary = seen.vocabulary(self._settings.max_vocabulary)
            if vocabulary:
                yield Feature(
                    name=name,
                    kind="category",
                    vocabulary=vocabulary,
                    buckets=seen.buckets(vocabulary, self._settings.buckets),
                    hashed=name in self._privacy.hash,
                    statistics=seen.statistics(),
                )
            else:
                useless.append(name)
        self._note_left_out(useless, "has no value twice among the training rows")

    def _note_almost(self, tallies: Mapping[str, Tally]) -> None:
        """Say which categories would be numbers or dates, were they written otherwise."""
        for almost, why in (
            (Tally.has_commas, "its numbers have commas: write 1234.5, not 1.234,5"),
            (Tally.has_other_dates, "its dates are not ISO 8601: write 2026-01-31"),
        ):
            names = [name for name in self._categories if almost(tallies[name])]
            self.notes += [f"column {name!r} is learned as a category, because {why}" for name in names[:NAMED]]

    def _note_left_out(self, names: Sequence[str], why: str) -> None:
        self.notes += [f"column {name!r} is left out: it {why}" for name in names[:NAMED]]
        if len(names) > NAMED:
            self.notes.append(f"{len(names) - NAMED} more columns are left out: each {why}")


def _merge_looks(one: Look, two: Look) -> Look:
    """Return what both looks found; the first one is changed."""
    one[1].merge(two[1])
    for name, tally in one[2].items():
        tally.merge(two[2][name])
    return one[0] + two[0], one[1], one[2]


def _merge_learned(one: Learned, two: Learned) -> Learned:
    """Return what was learned from both; the first one is changed."""
    one[0].merge(two[0])
    one[1].merge(two[1])
    for name, seen in one[2].items():
        seen.merge(two[2][name])
    one[3].merge(two[3])
    return one
