"""Shards: packed rows on disk.

A shard is a safetensors file of named arrays with equal first dimension. A split is
read by memory map, or as a stream (training.stream), so it may be larger than memory.
Reading one packed file is two orders of magnitude faster than an object a row.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from contract import keys
from contract.manifest import Schema
from training.order import Order, Pieces

LABEL, ROW = "label", "row"
Arrays = Mapping[str, NDArray]
DTYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32}


class Writer:
    """Packs the rows of one split into shards of about ``shard_bytes``.

    Args:
        folder: where ``00000-00000.safetensors`` (the part, the shard) and so on go; made if missing.
        shard_bytes: size at which a new shard begins.
    """

    def __init__(self, folder: Path, *, shard_bytes: int) -> None:
        self.rows = self.bytes = self._part = 0
        self._folder, self._limit = folder, shard_bytes
        self._waiting: list[dict[str, NDArray]] = []
        self._shards = 0

    def add(self, arrays: Arrays, part: int = 0) -> None:
        """Append rows: arrays with equal first dimension, the same names each time; a new part begins a new shard."""
        if part != self._part:
            self.close()
            self._part, self._shards = part, 0
        self._waiting.append({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        self.rows += len(arrays[LABEL])
        if sum(array.nbytes for part in self._waiting for array in part.values()) >= self._limit:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._part:05}-{self._shards:05}.safetensors"
        save_file({name: np.concatenate([part[name] for part in self._waiting]) for name in self._waiting[0]}, path)
        self.bytes += path.stat().st_size
        self._shards += 1
        self._waiting = []


@dataclass(frozen=True, kw_only=True)
class Column:
    """One array of a shard: its dtype, the shape of one row, and the byte of the file that it begins at."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard on disk, of which only the header has been read."""

    path: Path
    rows: int
    columns: Mapping[str, Column]

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Read the header."""
        with path.open("rb") as file:
            return cls.parse(path, file.read)

    @classmethod
    def parse(cls, path: Path, read: Callable[[int], bytes]) -> Self:
        """Return the shard whose first bytes ``read`` gives.

        Format: https://github.com/huggingface/safetensors#format (8 bytes length,
        JSON header, then the arrays; the writer aligns them to their item size).
        """
        length = int.from_bytes(read(8), "little")
        header = json.loads(read(length))
        header.pop("__metadata__", None)
        columns = {
            name: Column(
                dtype=np.dtype(DTYPES[entry["dtype"]]),
                shape=tuple(entry["shape"][1:]),
                offset=8 + length + entry["data_offsets"][0],
            )
            for name, entry in header.items()
        }
        return cls(path=path, rows=next(iter(header.values()))["shape"][0], columns=columns)

    @property
    def row_bytes(self) -> int:
        """Size of one row of all columns."""
        return sum(column.row_bytes for column in self.columns.values())

    def map(self, mode: Literal["r", "c"] = "r") -> dict[str, NDArray]:
        """Return the arrays without reading them: read-only ("r"), or such that changes stay in memory ("c")."""
        return {
            name: np.memmap(self.path, column.dtype, mode, column.offset, (self.rows, *column.shape))
            if self.rows * column.row_bytes  # a map of no bytes is refused
            else np.empty((self.rows, *column.shape), column.dtype)
            for name, column in self.columns.items()
        }

    def requests(self, arrays: Mapping[str, NDArray], first: int = 0) -> list[Mapping[str, NDArray]]:
        """Divide what ``read`` shall fill into what is best read side by side: of a file, nothing."""
        return [arrays]

    def read(self, arrays: Mapping[str, NDArray], first: int = 0) -> None:
        """Fill arrays [n, ...] with the n rows from ``first`` on, of the columns that they are named for.

        Raises:
            OSError: when the file is shorter than its header says.
        """
        with self.path.open("rb", buffering=0) as file:
            for offset, wanted in self.places(arrays, first):
                file.seek(offset)
                self.fill(wanted, file.readinto)

    def places(self, arrays: Mapping[str, NDArray], first: int) -> list[tuple[int, memoryview]]:
        """Return where in the file the bytes of ``arrays`` begin, and where they go, in the file's order."""
        columns = sorted((self.columns[name].offset, name) for name in arrays)
        return [
            (offset + first * self.columns[name].row_bytes, arrays[name].reshape(-1).view(np.uint8).data)
            for offset, name in columns
        ]

    def fill(self, wanted: memoryview, readinto: Callable[[memoryview], int | None]) -> None:
        """Fill memory from a file that may give less at a time than it is asked for."""
        while len(wanted):
            count = readinto(wanted)
            if not count:
                raise OSError(f"{self.path} ends before its rows do: it was cut short")
            wanted = wanted[count:]


def memory_map(path: Path) -> dict[str, NDArray]:
    """Return the arrays of a shard without reading them."""
    return Shard.open(path).map()


class Split:
    """One split of a dataset: rows by number, over all its shards, which are memory-mapped.

    Args:
        folder: the split's folder of shards.
        memory: bytes of rows that an epoch mixes at a time (training.order); None for all.

    Raises:
        FileNotFoundError: when it holds no shard.
    """

    def __init__(self, folder: Path, *, memory: int | None = None) -> None:
        self.shards = self._find(folder)
        if not self.shards:
            raise FileNotFoundError(f"there is no shard in {folder}")
        self._ends = np.cumsum([shard.rows for shard in self.shards])
        row_bytes, rows = self.shards[0].row_bytes, [shard.rows for shard in self.shards]
        self.pieces = Pieces.cut(rows, row_bytes=row_bytes, memory=sys.maxsize if memory is None else memory)
        self._maps = self._open()

    def _find(self, folder: Path) -> Sequence[Shard]:
        return [Shard.open(path) for path in sorted(folder.glob("*.safetensors"))]

    def _open(self) -> list[dict[str, NDArray]]:
        return [shard.map() for shard in self.shards]

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def labels(self) -> NDArray:
        """The labels of all rows."""
        return np.concatenate([shard[LABEL] for shard in self._maps])

    def order(self, *, seed: int, epoch: int) -> Order:
        """Return the order in which an epoch takes the rows: ``take(order[start:stop])`` is a batch of it."""
        return Order(self.pieces, seed=seed, epoch=epoch)

    def take(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """Return the arrays of the given row numbers, in that order, copied into memory."""
        if len(self._maps) == 1:
            return {name: array[rows] for name, array in self._maps[0].items()}
        shard_of = np.searchsorted(self._ends, rows, side="right")
        taken = empty(self.shards[0], len(rows))
        for number in np.unique(shard_of):
            where = np.flatnonzero(shard_of == number)
            inside = rows[where] - (self._ends[number] - self.shards[number].rows)
            for name, array in self._maps[number].items():
                taken[name][where] = array[inside]
        return taken

    def everything(self) -> dict[str, NDArray]:
        """Return all rows, mapped: they are in memory while they are used, and may be more than fit there.

        What is changed in them is changed in no shard. Several shards are put together in a temporary file.
        """
        if len(self._maps) == 1:
            return {name: array.view(np.ndarray) for name, array in self.shards[0].map("c").items()}
        whole = {name: self._room(column) for name, column in self.shards[0].columns.items()}
        for shard, end in zip(self.shards, self._ends.tolist(), strict=True):
            shard.read({name: array[end - shard.rows : end] for name, array in whole.items()})
        return whole

    def _room(self, column: Column) -> NDArray:
        """Return an array for all rows of a column, in a file that goes with it."""
        if not len(self) * column.row_bytes:  # a map of no bytes is refused
            return np.empty((len(self), *column.shape), column.dtype)
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, column.dtype, "w+", shape=(len(self), *column.shape)).view(np.ndarray)


def empty(like: Shard, rows: int) -> dict[str, NDArray]:
    """Return arrays for as many rows, with the columns of a shard."""
    return {name: np.empty((rows, *column.shape), column.dtype) for name, column in like.columns.items()}


def fingerprint(dataset: Path) -> str:
    """Return sha256 of all rows of a dataset folder, in hex; the same however its parts are cut into shards."""
    return combine(hashes(dataset))


def hashes(dataset: Path, shards: str = "*.safetensors") -> dict[str, str]:
    """Return sha256 of each array's rows, by split, part of the upload, and name.

    Args:
        dataset: its folder.
        shards: pattern of the files' names.
    """
    found: dict[str, Any] = {}
    for split in keys.SPLITS:
        for path in sorted((dataset / split).glob(shards)):
            for name, array in memory_map(path).items():
                entry = f"{split}/{path.name.partition('-')[0]}/{name}"
                found.setdefault(entry, hashlib.sha256()).update(np.ascontiguousarray(array).data)
    return {entry: value.hexdigest() for entry, value in found.items()}


def combine(parts: Mapping[str, str]) -> str:
    """Return the fingerprint of a dataset whose parts have these hashes."""
    return hashlib.sha256("\n".join(f"{entry}:{value}" for entry, value in sorted(parts.items())).encode()).hexdigest()


def read_schema(folder: Path) -> Schema:
    """Return the schema in ``folder``/schema.json."""
    return Schema.from_dict(json.loads((folder / Path(keys.DATASET_SCHEMA).name).read_text()))
