"""What is wrong with an upload: rows that are set aside, and datasets that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from contract.errors import InvalidUpload
from contract.reports import MAX_REASONS

MAX_REASON = 500  # characters; a column's name can be anything
SHOWN = 40  # characters of a bad value that the quarantine quotes


class Rejected(InvalidUpload):
    """A dataset that cannot be learned from; ``reasons`` say what to change."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class Quarantine:
    """Bad rows, kept for people to repair: ``rows.jsonl`` has a line for each, ``files/`` whole files.

    A line is ``{"file", "row", "reason", "raw"}``. ``raw`` is the original, before
    any anonymisation, and ``reason`` quotes the bad value: the quarantine is as sensitive
    as the upload itself. ``reasons`` are not, so they quote no value: they go where people
    read of the run, and into logs and histories.

    Args:
        folder: made when the first bad row comes.
    """

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self.good: int | None = None  # rows that were not set aside, where the dataset's rows are made of several
        self.reasons: list[str] = []  # the first ones only: the report is bounded
        self._folder = folder

    def row(self, *, file: str, row: int, reason: str, raw: str, value: str = "") -> None:
        """Set a row aside; ``row`` counts from 1 within its file; ``reason`` follows a bad ``value``, if any."""
        self._folder.mkdir(parents=True, exist_ok=True)
        quoted = f"{value[:SHOWN]!r} {reason}" if value else reason
        line = {"file": file, "row": row, "reason": quoted, "raw": raw}
        with (self._folder / "rows.jsonl").open("a", encoding="ascii") as lines:
            lines.write(json.dumps(line) + "\n")
        self.rows += 1
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(f"{file}, row {row}: {'a value ' if value else ''}{reason}")

    def file(self, *, file: str, row: int, name: str, reason: str, content: bytes) -> None:
        """Set a row aside that is a file of its own, with a copy of it."""
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(name).name)[-100:]
        copy = self._folder / "files" / f"{self.rows + 1:06}-{safe}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        self.row(file=file, row=row, reason=f"{name}: {reason}", raw=f"files/{copy.name}")


def shorten(text: str, limit: int = 100) -> str:
    """Return text of at most ``limit`` characters; an ellipsis says where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def bounded(reasons: Iterable[str], *, total: int | None = None) -> tuple[str, ...]:
    """Return at most 20 reasons; the last one then says how many more there are.

    Args:
        reasons: what there is to say.
        total: how many reasons there really are, when not all were given.
    """
    listed = [shorten(reason, MAX_REASON) for reason in reasons]
    count = max(total or 0, len(listed))
    if count <= MAX_REASONS:
        return tuple(listed)
    kept = listed[: MAX_REASONS - 1]
    return (*kept, f"... and {count - len(kept)} more; all are in quarantine/rows.jsonl")
