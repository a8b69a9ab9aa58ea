"""Prepared rows to the shards of their splits, counted on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

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
        self.labels: dict[str, Counter[int]] = {name: Counter() for name in keys.SPLITS}  # rows by class code
        self.duplicates = 0  # rows whose content came before
        self._seen: set[bytes] = set()
        self._writers = {name: Writer(folder / name, shard_bytes=shard_bytes) for name in keys.SPLITS}
        self._originals = originals.Writer(folder / Path(keys.DATASET_ORIGINALS).name, shard_bytes=shard_bytes)

    def add(self, chunk: Chunk) -> None:
        """Take in some rows."""
        for number, name in enumerate(keys.SPLITS):
            mine = {key: array[chunk.split == number] for key, array in chunk.arrays.items()}
            if len(mine[LABEL]):
                self._writers[name].add(mine)
                self.labels[name].update(mine[LABEL].tolist())
        self._originals.add(chunk.originals)
        before = len(self._seen)
        self._seen.update(chunk.content)
        self.duplicates += len(chunk.content) - (len(self._seen) - before)

    def close(self) -> None:
        """Write what waits."""
        for writer in self._writers.values():
            writer.close()
        self._originals.close()

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {name: writer.rows for name, writer in self._writers.items()}

    @property
    def bytes(self) -> int:
        """Size of the shards."""
        return sum(writer.bytes for writer in self._writers.values())
