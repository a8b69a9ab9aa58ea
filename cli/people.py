"""Whose rows they are: people by key columns, found in tables and requests, also where the tenant's salt hid them."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import BadArgument
from contract import dialect
from contract.values import HASH, HASH_DIGITS, to_number

Record = Mapping[str, Any]
WHOLE = re.compile(r"(-?[0-9]+)([.]0+)?")
csv.field_size_limit(2**31 - 1)  # the largest that it takes everywhere: a cell may be a whole text


@dataclass(frozen=True, kw_only=True)
class People:
    """Rows that have these values in these columns.

    Attributes:
        columns: the key columns.
        hashes: of each person, the keyed hashes of the values, in the columns' order; of a whole number as 5 and 5.0.
        salt: the tenant's.
    """

    columns: tuple[str, ...]
    hashes: frozenset[tuple[str, ...]]
    salt: bytes

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str]], salt: bytes) -> People:
        """Read people's key columns.

        Raises:
            BadArgument: when there are none, or one lacks a value.
        """
        found = [dict(row) for row in rows]
        columns = tuple(found[0]) if found else ()
        if not columns or any(not row.get(name) for row in found for name in columns):
            fix = "Give a CSV file with a header and a value for each column, or --where column=value."
            raise BadArgument("Whose rows are to be forgotten is not said.", fix)
        people = [itertools.product(*(_written(row[name]) for name in columns)) for row in found]
        hashes = frozenset(tuple(_hash(text, salt) for text in each) for each in itertools.chain(*people))
        return cls(columns=columns, hashes=hashes, salt=salt)

    @property
    def digest(self) -> str:
        """Tells these people from others, and nobody who lacks the salt who they are."""
        return _hash(json.dumps([self.columns, sorted(self.hashes)]), self.salt)

    def have(self, record: Record) -> bool:
        """Say whether a row is one of theirs; one that lacks a key column is nobody's."""
        if any(record.get(name) is None for name in self.columns):
            return False
        return tuple(self._hidden(_text(record[name])) for name in self.columns) in self.hashes

    def _hidden(self, value: str) -> str:
        return value if HASH.fullmatch(value) else _hash(value, self.salt)

    def same(self, sample: Record, row: Record, rounded: Iterable[str]) -> bool:
        """Say whether a prepared sample can be an uploaded row: alike in each column that both have."""
        both = [name for name in sample if name in row and name not in rounded and sample[name] is not None]
        return all(self._alike(_text(sample[name]), _text(row[name])) for name in both)

    def _alike(self, one: str, other: str) -> bool:
        numbers = to_number(one), to_number(other)
        if not any(map(math.isnan, numbers)):
            return math.isclose(*numbers, rel_tol=1e-4)
        return self._hidden(one) == self._hidden(other)


def _written(value: str) -> set[str]:
    """Return how tables may write a value: a column of whole numbers that has gaps is written 5.0 by many programs."""
    whole = WHOLE.fullmatch(value)
    return {value, whole[1], f"{whole[1]}.0"} if whole else {value}


def _hash(text: str, salt: bytes) -> str:
    """Hash as preparation does where [privacy] says so."""
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


@dataclass(frozen=True, kw_only=True)
class Sifted:
    """A table without some people's rows: how many are left, and those that are not."""

    kept: int
    removed: list[dict[str, Any]]


def sift(table: Path, people: People, out: Path) -> Sifted | None:
    """Write a table without people's rows to ``out``; None where it has no key column, or is no table."""
    sifters = {".csv": _sift_csv, ".parquet": _sift_parquet}
    sifter = sifters.get(table.suffix.lower())
    return sifter(table, people, out) if sifter else None


def _sift_csv(table: Path, people: People, out: Path) -> Sifted | None:
    start = table.read_bytes()[: dialect.SNIFFED_BYTES]
    encoding = dialect.encoding(start)
    delimiter = dialect.delimiter(start.decode(encoding, "replace"))
    kept, removed = 0, []
    with (
        table.open(encoding=encoding, errors="surrogateescape", newline="") as source,
        out.open("w", encoding=encoding, errors="surrogateescape", newline="") as target,
    ):
        rows, writer = csv.reader(source, delimiter=delimiter), csv.writer(target, delimiter=delimiter)
        header = next(rows, [])
        names = [name.strip() for name in header]
        if not set(people.columns) <= set(names):
            return None
        writer.writerow(header)
        for row in rows:
            record = dict(zip(names, row, strict=False))
            if people.have(record):
                removed.append(record)
            else:
                kept += 1
                writer.writerow(row)
    return Sifted(kept=kept, removed=removed)


def _sift_parquet(table: Path, people: People, out: Path) -> Sifted | None:
    import duckdb  # the other commands start without it

    database = duckdb.connect()
    relation = "read_parquet($table, file_row_number = true)"
    described = database.execute(f"DESCRIBE SELECT * FROM {relation}", {"table": str(table)}).fetchall()
    names = [name for name, *_ in described if name != "file_row_number"]
    if not set(people.columns) <= set(names):
        return None
    database.execute("CREATE TABLE theirs (place BIGINT)")
    scan = database.cursor().execute(f"SELECT * FROM {relation}", {"table": str(table)})
    columns = [each[0] for each in scan.description]
    count, removed = 0, []
    while rows := scan.fetchmany(10_000):
        count += len(rows)
        records = (dict(zip(columns, row, strict=True)) for row in rows)
        removed += [record for record in records if people.have(record)]
    for record in removed:
        database.execute("INSERT INTO theirs VALUES (?)", [record["file_row_number"]])
    kept = f"SELECT * EXCLUDE (file_row_number) FROM {relation} WHERE file_row_number NOT IN (FROM theirs)"
    database.execute(f"COPY ({kept}) TO '{out}' (FORMAT parquet)", {"table": str(table)})
    return Sifted(kept=count - len(removed), removed=removed)


def in_request(body: bytes, people: People) -> bool:
    """Say whether a request for predictions, in CSV or JSON, has one of their rows."""
    text = body.decode(errors="replace")
    try:
        return any(people.have(each) for each in _records(json.loads(text)))
    except ValueError:
        lines = csv.DictReader(text.splitlines(), delimiter=dialect.delimiter(text[: dialect.SNIFFED_BYTES]))
        return any(people.have({name: value for name, value in row.items() if name}) for row in lines)


def _records(document: Any) -> Iterator[Record]:
    """Yield every object within a JSON document."""
    if isinstance(document, dict):
        yield document
    for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from _records(each)


def in_capture(line: str, people: People) -> bool:
    """Say whether a line of SageMaker's data capture has one of their rows, in what was asked."""
    asked = json.loads(line).get("captureData", {}).get("endpointInput", {})
    data = str(asked.get("data", ""))
    body = base64.b64decode(data) if asked.get("encoding") == "BASE64" else data.encode()
    return in_request(body, people)
