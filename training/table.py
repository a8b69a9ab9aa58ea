"""A table upload as a source of rows: typed, learned from, encoded.

It is read three times, so that no table has to fit in memory: to see what each
column is, to learn statistics and vocabularies from the training rows, and to encode.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from contract.config import Privacy
from contract.manifest import Feature, Schema, Tensor
from training.checks import check_classes
from training.columns import Moments, Tally, Words, canonical, to_numbers
from training.data import LABEL, ROW
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.split import TEST, TRAIN

NUMERIC, CATEGORY = "numeric", "category"
SHOWN = 40  # characters of a bad value that a reason quotes
LONG = 1000  # digits that are no whole number any more, but text
NAMED = 5  # columns that a note is given each


class Table:
    """The table of an upload.

    Args:
        rows: its rows.
        work: what preparation lends.
        max_vocabulary: values of one category that are told apart.

    Raises:
        Rejected: when there is no usable column or row.
    """

    def __init__(self, rows: Rows, work: Preparation, *, max_vocabulary: int) -> None:
        self.notes: list[str] = []
        self.anonymised = rows.anonymised
        self._rows, self._splitter = rows, work.splitter
        self._privacy: Privacy = work.request.privacy
        self._target, self._max_vocabulary = work.request.prepare.target, max_vocabulary
        self._content = sorted(rows.columns)  # the same digest whatever the order of the columns
        self._numbers, self._categories = self._look()
        self._learn()

    def _look(self) -> tuple[list[str], list[str]]:
        """Return which columns are numbers and which are categories."""
        tallies = {name: Tally() for name in self._rows.columns}
        count = 0
        for block in self._rows.blocks():
            count += len(block)
            for name, tally in tallies.items():
                tally.add(block.column(name))
        if not count:
            raise Rejected("the upload holds no good row below the header")
        if not tallies:
            raise Rejected(f"there is no column to learn from besides the target {self._target!r}")
        filled = [name for name, tally in tallies.items() if tally.filled]
        if not filled:
            raise Rejected("every value of every column but the target is missing")
        self._note_left_out([name for name, tally in tallies.items() if not tally.filled], "has no value")
        commas = [name for name in filled if tallies[name].has_commas()]
        self.notes += [
            f"column {name!r} is learned as a category, because its numbers have commas: write 1234.5, not 1.234,5"
            for name in commas[:NAMED]
        ]
        is_number = {name: name not in self._rows.words and tallies[name].is_number() for name in filled}
        return [name for name in filled if is_number[name]], [name for name in filled if not is_number[name]]

    def _learn(self) -> None:
        """Gather statistics and vocabularies from the training rows, labels from all; set rows with mistakes aside."""
        moments, labels = Moments(columns=len(self._numbers)), Counter[str]()
        words = {name: Words() for name in self._categories}
        for block in self._rows.blocks():
            numbers, good = self._check_numbers(block)
            block = block.where(good.tolist())
            train = self._split(self._digests(block)) == TRAIN
            moments.add(numbers[good][train])
            learned = block.where(train.tolist())
            for name, seen in words.items():
                seen.add(learned.column(name))
            labels.update(block.column(self._target))
            check_classes(len(labels), self._target)
        self._labels = _in_order(labels)
        self._features = [*self._number_features(moments), *self._category_features(words)]
        if not self._features:
            raise Rejected("there is no column to learn from: no value of any category occurs twice")

    def chunks(self) -> Iterator[Chunk]:
        """Yield the good rows, encoded."""
        codes = {label: code for code, label in enumerate(self._labels)}
        vocabularies = {
            feature.name: {word: code for code, word in enumerate(feature.vocabulary, start=1)}
            for feature in self._features
            if feature.kind == "category"
        }
        for block in self._rows.blocks():
            arrays: dict[str, NDArray] = {
                LABEL: np.array([codes[label] for label in block.column(self._target)], np.int64),
                ROW: np.array([line.number for line in block.lines], np.int64),
            }
            if self._numbers:
                columns = [to_numbers(block.column(name))[0] for name in self._numbers]
                arrays[NUMERIC] = np.stack(columns, axis=1).astype(np.float32)
            if vocabularies:
                encoded = [[known.get(cell, 0) for cell in block.column(name)] for name, known in vocabularies.items()]
                arrays[CATEGORY] = np.array(encoded, np.int64).T
            digests = self._digests(block)
            split = self._split(digests)
            held_out = self._originals(block.where((split == TEST).tolist()))
            yield Chunk(arrays=arrays, content=digests, split=split, originals=held_out)

    def _originals(self, block: Block) -> list[bytes]:
        """Return rows as the champion is asked them: with the columns that this model may not see, too."""
        names = [name for name in block.places if name != self._target]
        rows = zip(*(block.column(name) for name in names), strict=True)
        return [json.dumps(dict(zip(names, cells, strict=True))).encode() for cells in rows]

    def schema(self) -> Schema:
        """Return the signature: numbers, categories, or both."""
        numbers, categories = len(self._numbers), len(self._features) - len(self._numbers)
        inputs = [
            Tensor(name=name, dtype=dtype, shape=(-1, columns))
            for name, dtype, columns in ((NUMERIC, "float32", numbers), (CATEGORY, "int64", categories))
            if columns
        ]
        return Schema(
            task="classification",
            inputs=tuple(inputs),
            features=tuple(self._features),
            labels=tuple(self._labels),
            target=self._target,
        )

    def _check_numbers(self, block: Block) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the numbers [n, columns] and which rows have no mistake in them; the others are set aside."""
        values = np.empty((len(block), len(self._numbers)))
        wrong = np.zeros(len(block), np.bool_)
        for place, name in enumerate(self._numbers):
            cells = block.column(name)
            values[:, place], mistakes = to_numbers(cells)
            for index in np.flatnonzero(mistakes & ~wrong):
                self._rows.set_aside(
                    block.lines[int(index)],
                    f"{cells[index][:SHOWN]!r} in column {name!r} is no number, or too large a one",
                )
            wrong |= mistakes
        return values, ~wrong

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

    def _category_features(self, words: dict[str, Words]) -> Iterator[Feature]:
        useless = []
        for name, seen in words.items():
            vocabulary = seen.vocabulary(self._max_vocabulary)
            if vocabulary:
                yield Feature(
                    name=name,
                    kind="category",
                    vocabulary=vocabulary,
                    hashed=name in self._privacy.hash,
                    statistics=seen.statistics(),
                )
            else:
                useless.append(name)
        self._note_left_out(useless, "has no value twice among the training rows")

    def _note_left_out(self, names: Sequence[str], why: str) -> None:
        self.notes += [f"column {name!r} is left out: it {why}" for name in names[:NAMED]]
        if len(names) > NAMED:
            self.notes.append(f"{len(names) - NAMED} more columns are left out: each {why}")


def _in_order(labels: Counter[str]) -> list[str]:
    """Return class names in order: by value when all are whole numbers, else by text."""
    whole = all(label.isascii() and label.removeprefix("-").isdecimal() and len(label) < LONG for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels)
