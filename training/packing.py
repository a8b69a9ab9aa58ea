"""Prepared rows to the shards of their splits, counted on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import keys
from training import originals
from training.data import LABEL, Writer
from training.recipes import Chunk


class Packer:
    """Writes the dataset's splits.

    Args:
        folder: the dataset's folder.
        shard_bytes: size at which a new shard begins.
    """

    def __init__(self, folder: Path, *, shard_bytes: int) -> None:
        self.labels: dict[str, Counter[int]] = {name: Counter() for name in keys.SPLITS}  # rows by class, if any
        self._content: list[NDArray[np.uint64]] = []  # 8 bytes a row of their digests
        self._writers = {name: Writer(folder / name, shard_bytes=shard_bytes) for name in keys.SPLITS}
        self._originals = originals.Writer(folder / Path(keys.DATASET_ORIGINALS).name, shard_bytes=shard_bytes)

    def add(self, chunk: Chunk) -> None:
        """Take in some rows."""
        for number, name in enumerate(keys.SPLITS):
            mine = {key: array[chunk.split == number] for key, array in chunk.arrays.items()}
            if len(mine[LABEL]):
                self._writers[name].add(mine)
                if mine[LABEL].dtype == np.int64:
                    self.labels[name].update(mine[LABEL].tolist())
        self._originals.add(chunk.originals)
        self._content.append(np.frombuffer(b"".join(digest[:8] for digest in chunk.content), np.uint64))

    def close(self) -> None:
        """Write what waits."""
        for writer in self._writers.values():
            writer.close()
        self._originals.close()

    @property
    def duplicates(self) -> int:
        """Rows whose content came before."""
        content = np.concatenate(self._content) if self._content else np.empty(0, np.uint64)
        return len(content) - len(np.unique(content))

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {name: writer.rows for name, writer in self._writers.items()}

    @property
    def bytes(self) -> int:
        """Size of the shards."""
        return sum(writer.bytes for writer in self._writers.values())
