"""Table uploads as streams of text cells: CSV by the standard library, Parquet by DuckDB.

Both give the same thing: rows of stripped text, empty where a value is missing.
Nothing is held in memory, so a table may be larger than it.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from contract import dialect
from contract.errors import nearest
from contract.values import clean
from training.rejection import Rejected

LOST_BYTE = re.compile("[\ud800-\udfff]")
MAX_CELL = 1_000_000
FETCHED_ROWS = 2048
PLAIN_TYPES = ("INT", "DOUBLE", "FLOAT", "DECIMAL")  # of DuckDB: what may be a number column


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a file, counted from 1; ``problem`` says why it cannot be used, if so."""

    number: int
    cells: Sequence[str]
    problem: str = ""
    raw: str = ""


class TableFile(Protocol):
    """One file of a table."""

    name: str
    columns: list[str]
    words: frozenset[str]  # columns whose values the file itself says are no numbers

    def rows(self) -> Iterator[Row]:
        """Yield the rows; may be called again."""


def open_table(path: Path) -> TableFile:
    """Open a CSV or Parquet file.

    Raises:
        Rejected: when it has no header and rows to read.
    """
    if path.stat().st_size == 0:
        raise Rejected(f"{path.name} is empty (0 bytes)")
    table: TableFile = ParquetFile(path) if path.suffix.lower() == ".parquet" else CsvFile(path)
    _check_columns(table)
    return table


def _check_columns(table: TableFile) -> None:
    counts = Counter(table.columns)
    doubled = [name for name, count in counts.items() if count > 1 and name]
    if doubled:
        names = ", ".join(f"{name!r} ({counts[name]} times)" for name in doubled[:5])
        raise Rejected(f"{table.name}: column names occur more than once: {names}; rename them")
    unnamed = [str(number) for number, name in enumerate(table.columns, start=1) if not name]
    if unnamed:
        raise Rejected(f"{table.name}: columns {', '.join(unnamed[:5])} have no name; name or remove them")


class CsvFile:
    """A CSV file with a header: UTF-8 (or UTF-16 with a byte order mark), any of four delimiters."""

    words: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path
        with path.open("rb") as file:
            start = file.read(dialect.SNIFFED_BYTES)
        self._encoding = dialect.encoding(start)
        if self._encoding != "utf-16" and (b"\0" in start or start.startswith(b"PK\x03\x04")):
            raise Rejected(f"{self.name} is not a text file; expected comma-separated values")
        self._delimiter = dialect.delimiter(start.decode(self._encoding, "replace"))
        header = next(self._records(), None)
        if header is None or header.problem:
            raise Rejected(f"{self.name} has no header line" + (f": {header.problem}" if header else ""))
        self.columns = [name.strip() for name in header.cells]
        broken = [name for name in self.columns if not _is_unicode(name)]
        if broken:
            shown = broken[0].encode("utf-8", "replace").decode()
            raise Rejected(f"{self.name} is not UTF-8: see the column name {shown!r}; save the file as UTF-8")

    def rows(self) -> Iterator[Row]:
        """Yield the rows after the header."""
        for number, record in enumerate(self._records()):
            if number:
                yield self._row(number, record)

    def _row(self, number: int, record: Row) -> Row:
        problem = record.problem
        if not problem and len(record.cells) != len(self.columns):
            problem = f"has {len(record.cells)} values for {len(self.columns)} columns"
        elif not problem and not _is_unicode(record.raw):
            bad = [name for name, cell in zip(self.columns, record.cells, strict=True) if not _is_unicode(cell)]
            problem = f"is not UTF-8 in column {bad[0]!r}; save the file as UTF-8"
        return Row(number=number, cells=[clean(cell) for cell in record.cells], problem=problem, raw=record.raw)

    def _records(self) -> Iterator[Row]:
        """Yield every record, the header's too; blank lines are passed over. A broken one does not end the file."""
        with self._path.open(encoding=self._encoding, errors="surrogateescape", newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            while True:
                lines.taken.clear()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    problem = f"cannot be read ({error}); is a quote missing?"
                    yield Row(number=0, cells=(), problem=problem, raw=lines.taken[0])
                    lines.restart()
                    continue
                except UnicodeDecodeError as error:
                    raise Rejected(f"{self.name} is not whole: {error}; save the file as UTF-8") from error
                if cells:
                    yield Row(number=0, cells=cells, raw="".join(lines.taken))


csv.field_size_limit(MAX_CELL)


class _Lines:
    """The lines of a file, and those of the record being read.

    An unclosed quote swallows the lines after it: all but its own are given out again.
    """

    def __init__(self, file: Iterable[str]) -> None:
        self.taken: list[str] = []
        self._file, self._again = iter(file), deque[str]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.taken.append(self._again.popleft() if self._again else next(self._file))
        return self.taken[-1]

    def restart(self) -> None:
        """Give out again what was taken after the first line."""
        self._again.extendleft(reversed(self.taken[1:]))


def _is_unicode(text: str) -> bool:
    """Whether text has no byte that was not UTF-8 (kept by surrogateescape)."""
    return text.isascii() or not LOST_BYTE.search(text)


class ParquetFile:
    """A Parquet file; every value as the text that DuckDB casts it to."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path
        try:
            with _duckdb() as connection:
                described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        except duckdb.Error as error:
            raise Rejected(f"{self.name} cannot be read as Parquet: {error}") from error
        types = {str(name): str(kind) for name, kind, *_ in described}
        nested = [f"{name!r} ({kind})" for name, kind in types.items() if _nested(kind)]
        if nested:
            raise Rejected(f"{self.name}: columns {', '.join(nested[:5])} hold no single values; flatten or drop them")
        self.columns = [str(name) for name, *_ in described]
        self.words = frozenset(name for name, kind in types.items() if not any(plain in kind for plain in PLAIN_TYPES))

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the file's order."""
        casts = ", ".join(f"CAST({_quoted(name)} AS VARCHAR)" for name in self.columns)
        try:
            with _duckdb() as connection:
                cursor = connection.execute(f"SELECT {casts} FROM read_parquet(?)", [str(self._path)])
                number = 0
                while batch := cursor.fetchmany(FETCHED_ROWS):
                    for values in batch:
                        number += 1
                        yield Row(number=number, cells=[clean(value) for value in values], raw=repr(values))
        except duckdb.OutOfMemoryException as error:  # the machine's fault, not the file's
            raise MemoryError(str(error)) from error
        except duckdb.Error as error:  # whose text may quote a value
            raise Rejected(f"{self.name} cannot be read as Parquet: {type(error).__name__}") from error


def _duckdb() -> duckdb.DuckDBPyConnection:
    """Return a database in memory that spills to where files may be written: in Lambda, not the current folder."""
    return duckdb.connect(config={"temp_directory": tempfile.gettempdir()})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB", "LIST"))


def check_same_columns(tables: Sequence[TableFile]) -> None:
    """Refuse files of one batch whose columns differ (their order may).

    Raises:
        Rejected: with a reason for each file that differs from the first.
    """
    first, reasons = tables[0], []
    for table in tables[1:]:
        lacks = [name for name in first.columns if name not in set(table.columns)]
        adds = [name for name in table.columns if name not in set(first.columns)]
        if lacks or adds:
            says = [f"lacks {_some(lacks)}"] if lacks else []
            says += [f"adds {_some(adds)}"] if adds else []
            hint = nearest(lacks[0], adds) if lacks and adds else ""
            reasons.append(
                f"{table.name}: its columns differ from {first.name}'s: {' and '.join(says)}. {hint}".strip()
            )
    if reasons:
        raise Rejected(*reasons)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name) for name in names[:5]) + more
