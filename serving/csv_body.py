"""CSV bodies, as preparation reads them: a header with the names of the columns, then one row a line.

RFC 4180 in UTF-8; or with semicolons, tabs or bars, or in UTF-16 with a byte order mark (contract.dialect).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

from contract import dialect
from serving.errors import Refused, show

MAX_FIELD = 100_000  # characters; below the csv module's own limit, which any import may change


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The rows of a CSV body, each as long as the header."""

    header: list[str]
    rows: list[list[str]]
    numbers: list[int]  # the line on which each row ends, for messages


def read_lines(body: bytes) -> Lines:
    """Parse the body.

    Raises:
        Refused: when it is not UTF-8, has no header or no row, repeats a
            column, or has a row of another length.
    """
    try:
        text = body.decode(dialect.encoding(body))
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}") from error
    delimiter = dialect.delimiter(text[: dialect.SNIFFED_BYTES])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, numbers = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if row:  # an empty line is no row
                rows.append(row)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise Refused(f"the body is not CSV: {error}", f"line {reader.line_num}") from error
    _check(header, rows, numbers)
    return Lines(header=header, rows=rows, numbers=numbers)


def _check(header: list[str], rows: list[list[str]], numbers: list[int]) -> None:
    if len(set(header)) < len(header):
        repeated = Counter(header).most_common(1)[0][0]
        raise Refused(f"column {show(repeated)} occurs twice; name each column once", "line 1")
    if not rows:
        raise Refused("there are no rows; expected a header and at least one row")
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(header):
            raise Refused(f"the row has {len(row)} fields; the header has {len(header)}", f"line {number}")
        if max(map(len, row)) > MAX_FIELD:
            raise Refused(f"a field has more than {MAX_FIELD:,} characters; is a quote missing?", f"line {number}")
