"""The rows of a table upload, over all its files: anonymised, without those that were set aside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from training.engine import Engine
from training.privacy import Anonymiser, check_columns
from training.recipes import Preparation
from training.tables import TableFile, check_same_columns, open_table

BLOCK_CELLS = 200_000  # bounds what is in memory at a time
PART_BYTES = 128 * 2**20  # of files, that make one part; a larger file is a part by itself
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row."""

    file: str
    row: int  # in its file, from 1
    part: int
    number: int  # in the upload, from 0; known once the parts before were read
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


@dataclass(kw_only=True)
class Found:
    """What reading a part found, besides what it was read for.

    Attributes:
        rows: how many it has, the bad ones too.
        bad: the numbers of rows to leave out from now on.
        aside: those rows, as a quarantine takes them.
    """

    rows: int = 0
    bad: set[int] = field(default_factory=set)
    aside: list[dict[str, Any]] = field(default_factory=list)


class Rows:
    """The good rows of some files; may be read again and again, the same each time but for new bad ones.

    Files are read in *parts* of some of them each; parts can be read side by side, files cannot.

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
        check_columns("evaluate.groups", work.request.evaluate.groups, list(self._places))
        self._parts = _parts(self._files, [path.stat().st_size for path in paths])
        self.found = [Found() for _ in self._parts]
        self.tells = False  # whether rows that are set aside are only told of, because the quarantine is elsewhere
        self._engine: Engine = work.engine
        self.anonymised = self._privacy.done
        self.words = self._privacy.words.union(*(file.words for file in self._files))
        hidden = (target, *work.request.prepare.exclude)
        self.columns = [name for name in self._privacy.columns if name not in hidden]  # what the model may see

    def blocks(self) -> Iterator[Block]:
        """Yield all good rows; what is wrong with a row by itself is found, and set aside, on the way."""
        return itertools.chain.from_iterable(self.part(number) for number in range(len(self._parts)))

    def part(self, part: int) -> Iterator[Block]:
        """Yield the good rows of one part."""
        size, lines = max(1, BLOCK_CELLS // len(self._places)), iter(self._lines(part))
        while block := list(itertools.islice(lines, size)):
            yield Block(lines=block, places=self._places)

    def each_part(self, function: Callable[[int], T]) -> Iterator[T]:
        """Yield what ``function`` makes of each part, in order; the engine says where that happens."""
        results = self._engine.map(partial(_with_found, self, function, self._engine.elsewhere), len(self._parts))
        for part, (result, found) in enumerate(results):
            if found:
                for row in found.aside:
                    self._quarantine.row(**row)
                self.found[part] = replace(found, aside=[])
            yield result

    def set_aside(self, line: Line, reason: str, value: str = "") -> None:
        """Put a row into the quarantine; later readings leave it out. ``reason`` follows a bad ``value``, if any."""
        self.found[line.part].bad.add(line.number - self._start(line.part))
        row: dict[str, Any] = {"file": line.file, "row": line.row, "raw": line.raw.rstrip("\r\n")}
        row |= {"reason": reason, "value": value}
        if self.tells:
            self.found[line.part].aside.append(row)
        else:
            self._quarantine.row(**row)

    def _lines(self, part: int) -> Iterator[Line]:
        numbers, start = itertools.count(), self._start(part)
        for file in self._parts[part]:
            for line, problem in self._read(file, part, numbers, start):
                if problem:
                    self.set_aside(line, problem)
                else:
                    yield line
        self.found[part].rows = next(numbers)

    def _start(self, part: int) -> int:
        """Return how many rows the parts before have."""
        return sum(found.rows for found in self.found[:part])

    def _read(self, file: TableFile, part: int, numbers: Iterator[int], start: int) -> Iterator[tuple[Line, str]]:
        """Yield a file's rows that are not set aside yet, each with what is wrong with it."""
        order = None if file.columns == self._header else [file.columns.index(name) for name in self._header]
        for row in file.rows():
            number = next(numbers)
            if number in self.found[part].bad:
                continue
            cells, problem = row.cells, row.problem
            if not problem:
                cells, problem = self._privacy.apply([cells[place] for place in order] if order else cells)
            if not problem and not cells[self._places[self._target]]:
                problem = f"has no value in the column {self._target!r}"
            yield (
                Line(file=file.name, row=row.number, part=part, number=start + number, cells=cells, raw=row.raw),
                problem,
            )


def _parts(files: Sequence[TableFile], sizes: Sequence[int]) -> list[list[TableFile]]:
    """Return files in parts: neighbours together until they have PART_BYTES."""
    parts: list[list[TableFile]] = [[]]
    held = 0
    for file, size in zip(files, sizes, strict=True):
        if parts[-1] and held + size > PART_BYTES:
            parts.append([])
            held = 0
        parts[-1].append(file)
        held += size
    return parts


def _with_found(rows: Rows, function: Callable[[int], T], elsewhere: bool, part: int) -> tuple[T, Found | None]:
    """Do something to a part; where the caller is another process, return what it cannot see, too."""
    if not elsewhere:
        return function(part), None
    rows.tells = True
    return function(part), rows.found[part]
