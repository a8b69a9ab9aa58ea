"""The rows of a table upload, over all its files: anonymised, without those that were set aside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.privacy import Anonymiser, check_columns
from training.recipes import Preparation
from training.tables import TableFile, check_same_columns, open_table

BLOCK_CELLS = 200_000  # bounds what is in memory at a time


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row."""

    file: str
    row: int  # in its file, from 1
    number: int  # in the upload, from 0
    cells: Sequence[str]  # anonymised
    raw: str  # as it was


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some rows."""

    lines: Sequence[Line]
    places: Mapping[str, int]  # of each column among a line's cells

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> list[str]:
        """Return a column's cells."""
        place = self.places[name]
        return [line.cells[place] for line in self.lines]

    def where(self, chosen: Sequence[bool]) -> Block:
        """Return the rows that are chosen."""
        return Block(lines=list(itertools.compress(self.lines, chosen)), places=self.places)


class Rows:
    """The good rows of some files; may be read again and again, the same each time but for new bad ones.

    Args:
        paths: CSV and Parquet files with the same columns, in any order.
        work: what preparation lends.
        target: the column that every row must have a value in.

    Raises:
        Rejected: for files that are no tables, or not one table; for settings that name no column.
    """

    def __init__(self, paths: Sequence[Path], work: Preparation, target: str) -> None:
        self._quarantine, self._target = work.quarantine, target
        self._files = [open_table(path) for path in paths]
        check_same_columns(self._files)
        self._header = self._files[0].columns
        check_columns("prepare.target", [target], self._header)
        check_columns("prepare.exclude", work.request.prepare.exclude, self._header)
        self._privacy = Anonymiser(work.request.privacy, self._header, work.salt)
        self._places = {name: place for place, name in enumerate(self._privacy.columns)}
        self._bad: set[int] = set()
        self.anonymised = self._privacy.done
        self.words = self._privacy.words.union(*(file.words for file in self._files))
        hidden = (target, *work.request.prepare.exclude)
        self.columns = [name for name in self._privacy.columns if name not in hidden]  # what the model may see

    def blocks(self) -> Iterator[Block]:
        """Yield all good rows; what is wrong with a row by itself is found, and set aside, on the way."""
        size, lines = max(1, BLOCK_CELLS // len(self._places)), iter(self._lines())
        while block := list(itertools.islice(lines, size)):
            yield Block(lines=block, places=self._places)

    def set_aside(self, line: Line, reason: str) -> None:
        """Put a row into the quarantine; later readings leave it out."""
        self._bad.add(line.number)
        self._quarantine.row(file=line.file, row=line.row, reason=reason, raw=line.raw.rstrip("\r\n"))

    def _lines(self) -> Iterator[Line]:
        numbers = itertools.count()
        for file in self._files:
            for line, problem in self._read(file, numbers):
                if problem:
                    self.set_aside(line, problem)
                else:
                    yield line

    def _read(self, file: TableFile, numbers: Iterator[int]) -> Iterator[tuple[Line, str]]:
        """Yield a file's rows that are not set aside yet, each with what is wrong with it."""
        order = None if file.columns == self._header else [file.columns.index(name) for name in self._header]
        for row in file.rows():
            number = next(numbers)
            if number in self._bad:
                continue
            cells, problem = row.cells, row.problem
            if not problem:
                cells, problem = self._privacy.apply([cells[place] for place in order] if order else cells)
            if not problem and not cells[self._places[self._target]]:
                problem = f"has no value in the column {self._target!r}"
            yield Line(file=file.name, row=row.number, number=number, cells=cells, raw=row.raw), problem
