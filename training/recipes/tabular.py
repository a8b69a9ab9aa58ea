"""Classifies the rows of a table: any CSV or Parquet file with a target column.

How columns become numbers and categories: :mod:`training.columns`. Missing values
are learned from too: the network is told where numbers are missing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema, Tensor
from contract.parsing import setting
from contract.recipes import Throughput
from training.columns import Moments, Tally, Words, to_numbers
from training.data import LABEL, ROW
from training.privacy import Anonymiser, check_columns
from training.recipes import Chunk, Preparation, Recipe
from training.rejection import Rejected
from training.split import TRAIN
from training.tables import check_same_columns, open_table

if TYPE_CHECKING:
    from torch import nn

NUMERIC, CATEGORY = "numeric", "category"
CHUNK_CELLS = 200_000
SHOWN = 40  # characters of a bad value that a reason quotes


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
    accepts = (".csv", ".parquet")
    needs_target = True
    options = Options
    defaults = {"train": {"epochs": 20, "batch_size": 64, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(samples_per_second=1000.0, machine="2 laptop cores", measured="2026-11-21")

    def read(self, files: Sequence[Path], work: Preparation) -> Table:
        """Open the files as one table."""
        return Table(files, work, self.parse_options(work.request.recipe.options))

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


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One anonymised row."""

    file: str
    row: int  # in its file, from 1
    number: int  # in the upload, from 0
    cells: list[str]
    raw: str


class Table:
    """The rows of an upload's files.

    They are read three times, so that no table has to fit in memory: to see
    what each column is, to learn statistics and vocabularies from the training
    rows, and to encode.

    Args:
        files: CSV and Parquet files with the same columns.
        work: what preparation lends.
        options: the recipe's options.

    Raises:
        Rejected: when there is no usable column, target or row.
    """

    def __init__(self, files: Sequence[Path], work: Preparation, options: Options) -> None:
        self.notes: list[str] = []
        self._work, self._options = work, options
        self._files = [open_table(path) for path in files]
        check_same_columns(self._files)
        columns = self._files[0].columns
        self._target = work.request.prepare.target
        check_columns("prepare.target", [self._target], columns)
        check_columns("prepare.exclude", work.request.prepare.exclude, columns)
        self._privacy = Anonymiser(work.request.privacy, columns, work.salt)
        self.anonymised = self._privacy.done
        self._columns = [c for c in self._privacy.columns if c not in (self._target, *work.request.prepare.exclude)]
        self._place = {name: number for number, name in enumerate(self._privacy.columns)}
        self._words = self._privacy.words.union(*(file.words for file in self._files))
        self._bad: set[int] = set()
        self._look()
        self._learn()

    # --- the three passes ---

    def _look(self) -> None:
        """Decide which columns are numbers; set rows aside that are no rows."""
        tallies = {name: Tally() for name in self._columns}
        rows = 0
        for lines in self._chunks(report=True):
            rows += len(lines)
            for name, tally in tallies.items():
                tally.add(self._column(lines, name))
        if not rows:
            raise Rejected("the upload holds no good row below the header")
        if not self._columns:
            raise Rejected(f"there is no column to learn from besides the target {self._target!r}")
        filled = [name for name in self._columns if tallies[name].filled]
        if not filled:
            raise Rejected("every value of every column but the target is missing")
        self._note_left_out([name for name in self._columns if name not in set(filled)], "has no value")
        self._numbers = [name for name in filled if name not in self._words and tallies[name].is_number()]
        self._categories = [name for name in filled if name not in set(self._numbers)]

    def _learn(self) -> None:
        """Gather statistics and vocabularies from the training rows, labels from all; set rows with mistakes aside."""
        self._moments = Moments(columns=len(self._numbers))
        words = {name: Words() for name in self._categories}
        labels: Counter[str] = Counter()
        for lines in self._chunks():
            numbers, good = self._read_numbers(lines)
            lines = list(itertools.compress(lines, good))
            train = np.array([self._split(line) == TRAIN for line in lines], np.bool_)
            self._moments.add(numbers[good][train])
            learned = list(itertools.compress(lines, train))
            for name, seen in words.items():
                seen.add(self._column(learned, name))
            labels.update(self._column(lines, self._target))
        self._labels = _sorted(labels)
        self._features = self._number_features() + self._category_features(words)
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
        for lines in self._chunks():
            arrays: dict[str, NDArray] = {
                LABEL: np.array([codes[label] for label in self._column(lines, self._target)], np.int64),
                ROW: np.array([line.number for line in lines], np.int64),
            }
            if self._numbers:
                columns = [to_numbers(self._column(lines, name))[0] for name in self._numbers]
                arrays[NUMERIC] = np.stack(columns, axis=1).astype(np.float32)
            if vocabularies:
                encoded = [[known.get(cell, 0) for cell in self._column(lines, n)] for n, known in vocabularies.items()]
                arrays[CATEGORY] = np.array(encoded, np.int64).T
            content = [self._digest(line) for line in lines]
            split = np.array([self._work.splitter.split(digest) for digest in content], np.int8)
            yield Chunk(arrays=arrays, content=content, split=split)

    # --- what they share ---

    def _chunks(self, *, report: bool = False) -> Iterator[list[_Line]]:
        """Yield the rows that are not set aside, a bounded number at a time."""
        size, lines = max(1, CHUNK_CELLS // len(self._privacy.columns)), []
        for line in self._lines(report=report):
            lines.append(line)
            if len(lines) == size:
                yield lines
                lines = []
        if lines:
            yield lines

    def _lines(self, *, report: bool) -> Iterator[_Line]:
        counter = itertools.count()
        first = self._files[0].columns
        for file in self._files:
            order = None if file.columns == first else [file.columns.index(name) for name in first]
            for row in file.rows():
                number = next(counter)
                if number in self._bad or (row.problem and not report):
                    continue
                cells, problem = (row.cells, row.problem)
                if not problem:
                    cells, problem = self._privacy.apply([cells[i] for i in order] if order else cells)
                line = _Line(file=file.name, row=row.number, number=number, cells=list(cells), raw=row.raw)
                if not problem and not line.cells[self._place[self._target]]:
                    problem = f"has no value in the target column {self._target!r}"
                if problem:
                    self._set_aside(line, problem)
                else:
                    yield line

    def _read_numbers(self, lines: list[_Line]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the number columns [n, numbers] and which rows have no mistake in them; the others are set aside."""
        values = np.empty((len(lines), len(self._numbers)))
        wrong = np.zeros(len(lines), np.bool_)
        for place, name in enumerate(self._numbers):
            cells = self._column(lines, name)
            values[:, place], mistakes = to_numbers(cells)
            for index in np.flatnonzero(mistakes & ~wrong):
                self._set_aside(lines[index], f"{cells[index][:SHOWN]!r} in column {name!r} is no number")
            wrong |= mistakes
        return values, ~wrong

    def _set_aside(self, line: _Line, reason: str) -> None:
        self._bad.add(line.number)
        self._work.quarantine.row(file=line.file, row=line.row, reason=reason, raw=line.raw.rstrip("\r\n"))

    def _column(self, lines: Sequence[_Line], name: str) -> list[str]:
        place = self._place[name]
        return [line.cells[place] for line in lines]

    def _digest(self, line: _Line) -> bytes:
        """Return the digest of what the model may see, whatever the order of the columns."""
        cells = (line.cells[self._place[name]] for name in sorted(self._columns))
        return self._work.splitter.digest("\x1f".join(cells).encode())

    def _split(self, line: _Line) -> int:
        return self._work.splitter.split(self._digest(line))

    def _number_features(self) -> list[Feature]:
        return [
            Feature(name=name, kind="number", statistics=self._moments.statistics(place))
            for place, name in enumerate(self._numbers)
        ]

    def _category_features(self, words: dict[str, Words]) -> list[Feature]:
        features = [
            Feature(
                name=name,
                kind="category",
                vocabulary=seen.vocabulary(self._options.max_vocabulary),
                statistics=seen.statistics(),
            )
            for name, seen in words.items()
        ]
        self._note_left_out(
            [feature.name for feature in features if not feature.vocabulary], "has no value twice among training rows"
        )
        return [feature for feature in features if feature.vocabulary]

    def _note_left_out(self, names: Sequence[str], why: str) -> None:
        shown = [f"column {name!r} is left out: it {why}" for name in names[:5]]
        more = [f"{len(names) - 5} more columns are left out: each {why}"] if len(names) > 5 else []
        self.notes += shown + more

    def schema(self) -> Schema:
        """Return the signature: numbers, categories, or both."""
        numbers = sum(feature.kind == "number" for feature in self._features)
        categories = len(self._features) - numbers
        inputs = []
        if numbers:
            inputs.append(Tensor(name=NUMERIC, dtype="float32", shape=(-1, numbers)))
        if categories:
            inputs.append(Tensor(name=CATEGORY, dtype="int64", shape=(-1, categories)))
        return Schema(
            task="classification",
            inputs=tuple(inputs),
            features=tuple(self._features),
            labels=tuple(self._labels),
            target=self._target,
        )


def _sorted(labels: Counter[str]) -> list[str]:
    """Return class names in order: by value when all are whole numbers, else by text."""
    whole = all(label.lstrip("+-").isdecimal() and label.isascii() for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels)


RECIPE = Tabular()
