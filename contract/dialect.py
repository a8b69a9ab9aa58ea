"""How a CSV file is written: the same rules in preparation and in the server."""

from __future__ import annotations

import csv
import io

from contract.values import BOMS, DELIMITERS

SNIFFED_BYTES = 65_536
SNIFFED_LINES = 50


def encoding(start: bytes) -> str:
    """Return the encoding of a file that begins so: by its byte order mark, UTF-8 where it has none."""
    return next((name for bom, name in BOMS.items() if start.startswith(bom)), "utf-8")


def delimiter(start: str) -> str:
    """Return the delimiter that cuts all (or half) of the first lines alike, and into the most fields."""
    return max(DELIMITERS, key=lambda candidate: _score(start, candidate))


def _score(start: str, candidate: str) -> tuple[int, int]:
    lines = io.StringIO(start, newline="")
    try:
        records = [record for record in csv.reader(lines, delimiter=candidate) if record][:SNIFFED_LINES]
    except csv.Error:
        return (0, 0)
    if not records or len(records[0]) < 2:
        return (0, 0)
    same = sum(len(record) == len(records[0]) for record in records)
    return (2 * same // len(records), len(records[0]))  # all, half or fewer of the lines
