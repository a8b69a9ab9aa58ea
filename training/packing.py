"""Prepared rows to the shards of their splits, counted on the way."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from contract import keys
from training import originals
from training.data import LABEL, Writer, hashes
from training.recipes import Chunk, Source

T = TypeVar("T")


@runtime_checkable
class Parted(Protocol):
    """A source whose parts can be packed side by side."""

    def each_part(self, function: Callable[[int], T]) -> Iterator[T]:
        """Yield what ``function`` makes of each part, in order."""

    def part(self, part: int) -> Iterator[Chunk]:
        """Yield the good rows of one part."""


@dataclass(kw_only=True)
class Packed:
    """What was packed.

    Attributes:
        rows: of each split.
        labels: rows by class, of each split; empty where there are no classes.
        bytes: size of the shards.
        hashes: of the parts (training.data.hashes).
        content: 8 bytes of the digest of each row's content.
    """

    rows: dict[str, int]
    labels: dict[str, Counter[int]]
    bytes: int
    hashes: dict[str, str]
    content: NDArray[np.uint64]

    @property
    def duplicates(self) -> int:
        """Rows whose content came before."""
        return len(self.content) - len(np.unique(self.content))

    def __add__(self, other: Packed) -> Packed:
        return Packed(
            rows={name: rows + other.rows[name] for name, rows in self.rows.items()},
            labels={name: labels + other.labels[name] for name, labels in self.labels.items()},
            bytes=self.bytes + other.bytes,
            hashes=self.hashes | other.hashes,
            content=np.concatenate([self.content, other.content]),
        )


def pack(source: Source, folder: Path, *, shard_bytes: int) -> Packed:
    """Write all rows of an upload below the dataset's ``folder``, part by part where it has parts."""
    if not isinstance(source, Parted):
        return _pack(source.chunks(), folder, shard_bytes, "*.safetensors")
    packed = source.each_part(functools.partial(_pack_part, source, folder, shard_bytes))
    return functools.reduce(Packed.__add__, packed)


def _pack_part(source: Parted, folder: Path, shard_bytes: int, part: int) -> Packed:
    return _pack(source.part(part), folder, shard_bytes, f"{part:05}-*.safetensors")


def _pack(chunks: Iterable[Chunk], folder: Path, shard_bytes: int, shards: str) -> Packed:
    """Write some chunks; ``shards`` is the pattern of the names that their shards have."""
    writers = {name: Writer(folder / name, shard_bytes=shard_bytes) for name in keys.SPLITS}
    kept = originals.Writer(folder / Path(keys.DATASET_ORIGINALS).name, shard_bytes=shard_bytes)
    labels: dict[str, Counter[int]] = {name: Counter() for name in keys.SPLITS}
    content = [np.empty(0, np.uint64)]
    for chunk in chunks:
        for number, name in enumerate(keys.SPLITS):
            mine = {key: array[chunk.split == number] for key, array in chunk.arrays.items()}
            if len(mine[LABEL]):
                writers[name].add(mine, chunk.part)
                if mine[LABEL].dtype == np.int64:
                    labels[name].update(mine[LABEL].tolist())
        kept.add(chunk.originals, chunk.part)
        content.append(np.frombuffer(b"".join(digest[:8] for digest in chunk.content), np.uint64))
    for writer in writers.values():
        writer.close()
    kept.close()
    return Packed(
        rows={name: writer.rows for name, writer in writers.items()},
        labels=labels,
        bytes=sum(writer.bytes for writer in writers.values()),
        hashes=hashes(folder, shards),
        content=np.concatenate(content),
    )
