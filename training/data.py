"""Shards: packed rows on disk.

A shard is a safetensors file of named arrays with equal first dimension, read
by memory map, so a split may be larger than memory. Reading one packed file
is two orders of magnitude faster than an object a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from contract import keys
from contract.manifest import Schema

LABEL, ROW = "label", "row"
Arrays = Mapping[str, NDArray]
DTYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32}


class Writer:
    """Packs the rows of one split into shards of about ``shard_bytes``.

    Args:
        folder: where ``00000.safetensors`` and so on go; made if missing.
        shard_bytes: size at which a new shard begins.
    """

    def __init__(self, folder: Path, *, shard_bytes: int) -> None:
        self.rows = self.bytes = 0
        self._folder, self._limit = folder, shard_bytes
        self._waiting: list[dict[str, NDArray]] = []
        self._shards = 0

    def add(self, arrays: Arrays) -> None:
        """Append rows: arrays with equal first dimension, the same names each time."""
        self._waiting.append({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        self.rows += len(arrays[LABEL])
        if sum(array.nbytes for part in self._waiting for array in part.values()) >= self._limit:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._shards:05}.safetensors"
        save_file({name: np.concatenate([part[name] for part in self._waiting]) for name in self._waiting[0]}, path)
        self.bytes += path.stat().st_size
        self._shards += 1
        self._waiting = []


def memory_map(path: Path) -> dict[str, NDArray]:
    """Return the arrays of a shard without reading them.

    Format: https://github.com/huggingface/safetensors#format (8 bytes length,
    JSON header, then the arrays; the writer aligns them to their item size).
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
        offset = 8 + length + entry["data_offsets"][0]
        empty = 0 in shape  # a map of no bytes is refused
        arrays[name] = np.empty(shape, dtype) if empty else np.memmap(path, dtype, "r", offset, shape)
    return arrays


class Split:
    """One split of a dataset: rows by number, over all its shards.

    Args:
        folder: the split's folder of shards.

    Raises:
        FileNotFoundError: when it holds no shard.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"there is no shard in {folder}")
        self._shards = [memory_map(path) for path in paths]
        self._ends = np.cumsum([len(shard[LABEL]) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels of all rows."""
        return np.concatenate([shard[LABEL] for shard in self._shards])

    def take(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """Return the arrays of the given row numbers, in that order, copied into memory."""
        shard_of = np.searchsorted(self._ends, rows, side="right")
        if len(self._shards) == 1:
            return {name: array[rows] for name, array in self._shards[0].items()}
        first = self._shards[0]
        taken = {name: np.empty((len(rows), *array.shape[1:]), array.dtype) for name, array in first.items()}
        for number in np.unique(shard_of):
            where = np.flatnonzero(shard_of == number)
            inside = rows[where] - (self._ends[number] - len(self._shards[number][LABEL]))
            for name, array in self._shards[number].items():
                taken[name][where] = array[inside]
        return taken

    def everything(self) -> dict[str, NDArray]:
        """Return all rows."""
        return self.take(np.arange(len(self)))


def fingerprint(dataset: Path) -> str:
    """Return sha256 of all rows of a dataset folder, in hex; the same however they are cut into shards."""
    parts = []
    for split in keys.SPLITS:
        hashes: dict[str, Any] = {}
        for path in sorted((dataset / split).glob("*.safetensors")):
            for name, array in memory_map(path).items():
                hashes.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(array).data)
        parts += [f"{split}/{name}:{value.hexdigest()}" for name, value in sorted(hashes.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_schema(folder: Path) -> Schema:
    """Return the schema in ``folder``/schema.json."""
    return Schema.from_dict(json.loads((folder / Path(keys.DATASET_SCHEMA).name).read_text()))
