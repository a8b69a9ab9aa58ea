"""Replay: rows of earlier uploads, learned again with the new ones, so that a model that goes on does not forget them.

A run keeps a sample of all rows that it and its forebears saw; the next one reads that of the version in service.
The sample are the rows with the smallest salted digests, as many as fit (a bottom-k sketch: Cohen and Kaplan,
"Summarizing Data using Bottom-k Sketches", PODC 2007): it is uniform over all different rows, however many uploads
they came in, the same whenever it is taken, and its first rows are a uniform sample as well.

Rows are kept as they were uploaded, beside the upload and as well guarded, because they are prepared again with the
new ones: anonymised by today's settings, encoded by a vocabulary of both. Which split a row belongs to is
decided by its content, so none that was held out is ever learned.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
import zlib
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contract import keys
from training import zips
from training.tables import TableFile, open_table

MAX_ROWS = 50_000
MAX_BYTES = 32 * 2**20
DIGEST = 16


@dataclass(frozen=True, order=True)
class Item:
    """One row: a line of CSV, or an image's file; ordered by its digest."""

    digest: bytes
    content: bytes
    name: str = ""  # of an image, in its class folder


class Sample:
    """The items with the smallest digests, each once, as many as fit.

    Args:
        rows: most items.
        size: most bytes of their contents.
    """

    def __init__(self, *, rows: int = MAX_ROWS, size: int = MAX_BYTES) -> None:
        self.items: list[Item] = []
        self._rows, self._size = rows, size
        self._held, self._digests = 0, set[bytes]()
        self._limit = b"\xff" * (DIGEST + 1)  # of the digests that can still be kept

    def add(self, item: Item) -> None:
        """Take an item, and leave out those with the largest digests where it is too many."""
        if item.digest >= self._limit or item.digest in self._digests:
            return
        insort(self.items, item)
        self._digests.add(item.digest)
        self._held += len(item.content)
        while len(self.items) > self._rows or self._held > self._size:
            last = self.items.pop()
            self._digests.remove(last.digest)
            self._held -= len(last.content)
            self._limit = last.digest  # all that is kept is below it, so what is kept does not depend on the order


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What is learned together.

    Attributes:
        files: the new ones, then, where anything is replayed, one of earlier rows.
        rows: how many are replayed.
        note: in words, what is replayed, or why nothing is.
        kept: the file that the next run can replay from.
    """

    files: Sequence[Path]
    rows: int
    note: str
    kept: Path


def join(files: Sequence[Path], earlier: Path | None, *, share: float, salt: str, scratch: Path) -> Replay:
    """Choose what is replayed, and what is kept of it all.

    Args:
        files: the upload's.
        earlier: the sample that the version in service left, if any.
        share: rows to replay for each new row.
        salt: of the digests; the project's.
        scratch: an empty folder.

    Raises:
        Rejected: when a file cannot be read.
    """
    kind = IMAGES if files[0].suffix.lower() == ".zip" else TABLE
    sample, count = Sample(), 0
    why = _why_not(kind, files, earlier)
    past = list(kind.items([earlier], salt, files[0])) if earlier and not why else []
    old = {item.digest for item in past}
    again = set[bytes]()
    for item in kind.items(files, salt, files[0]):
        count += 1
        sample.add(item)
        if item.digest in old:
            again.add(item.digest)
    name = keys.REPLAY_STEM + kind.suffix
    others = [item for item in past if item.digest not in again]
    chosen = others[: round(share * count)]
    for item in past:
        sample.add(item)
    kept = scratch / "kept" / name
    kind.write(kept, sample.items, files)
    if not chosen:
        why = why or ("too few are new" if others else "all came again")
        return Replay(files=files, rows=0, note=f"no earlier rows are replayed: {why}", kept=kept)
    given = scratch / "given" / name
    kind.write(given, chosen, files)
    note = f"{len(chosen)} rows of earlier uploads are replayed with {count} new ones"
    return Replay(files=[*files, given], rows=len(chosen), note=note, kept=kept)


def _why_not(kind: Kind, files: Sequence[Path], earlier: Path | None) -> str:
    if earlier is None:
        return "no version in service has kept any"
    return kind.differ(files, earlier) if earlier.suffix == kind.suffix else "those that were kept are other files"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of upload: how its rows are read, compared and written."""

    suffix: str
    items: Callable[[Sequence[Path], str, Path], Iterator[Item]]
    differ: Callable[[Sequence[Path], Path], str]
    write: Callable[[Path, Sequence[Item], Sequence[Path]], None]


def _digest(salt: str, *parts: bytes) -> bytes:
    found = hashlib.blake2b(digest_size=DIGEST, key=hashlib.sha256(salt.encode()).digest())
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.digest()


# --- tables ---


def _rows(files: Sequence[Path], salt: str, like: Path) -> Iterator[Item]:
    """Yield the readable rows, with their columns in the order of the file ``like``."""
    header = open_table(like).columns
    for table in map(open_table, files):
        if sorted(table.columns) != sorted(header):
            return  # the recipe rejects such an upload, and says why
        places = [table.columns.index(name) for name in header]
        by_name = sorted(range(len(header)), key=lambda place: header[place])
        for row in table.rows():
            if not row.problem:
                cells = [row.cells[place] for place in places]
                yield Item(_digest(salt, *(cells[place].encode() for place in by_name)), _line(cells))


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _other_columns(files: Sequence[Path], earlier: Path) -> str:
    now, then = (_columns(open_table(path)) for path in (files[0], earlier))
    told = {"new": sorted(now - then), "gone": sorted(then - now)}
    differences = "; ".join(f"{word} {', '.join(map(repr, names[:5]))}" for word, names in told.items() if names)
    return f"they have other columns ({differences})" if differences else ""


def _columns(table: TableFile) -> set[str]:
    return set(table.columns)


def _write_rows(path: Path, items: Sequence[Item], files: Sequence[Path]) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(_line(open_table(files[0]).columns) + b"".join(item.content for item in items))


# --- zips of class folders ---


def _images(files: Sequence[Path], salt: str, like: Path) -> Iterator[Item]:
    """Yield the files in class folders that the zips can give."""
    for path in files:
        with zipfile.ZipFile(path) as archive:
            for member in zips.members(path, path.name):
                try:
                    content = zips.read(archive, member)
                except (*zips.BROKEN, zlib.error):
                    continue  # the recipe sets it aside, and says why
                if member.folder:
                    digest = _digest(salt, member.folder.encode(errors="surrogateescape"), content)
                    name = f"{member.folder}/{digest.hex()}{PurePosixPath(member.name).suffix.lower()}"
                    yield Item(digest, content, name)


def _write_images(path: Path, items: Sequence[Item], files: Sequence[Path]) -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for item in items:
            archive.writestr(zipfile.ZipInfo(item.name), item.content)


TABLE = Kind(suffix=".csv", items=_rows, differ=_other_columns, write=_write_rows)
IMAGES = Kind(suffix=".zip", items=_images, differ=lambda files, earlier: "", write=_write_images)
