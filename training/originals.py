"""The held-out rows as they were uploaded: what a champion that reads them in its own way is asked.

The shards of a dataset are encoded for the challenger: its vocabularies, its image size. A champion
that was learned from other words or larger images would be judged on what is left of the rows.
So each test row's original is kept too, in the order of the test split:

- an image: its file;
- a row of a table: a JSON object of text by column, anonymised, the target left out.

On disk they are safetensors files: ``content`` uint8, all originals end to end, and ``ends`` int64 [n].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

CONTENT, ENDS = "content", "ends"


class Writer:
    """Packs originals into files of about ``shard_bytes``.

    Args:
        folder: where ``00000-00000.safetensors`` (the part, the file) and so on go; made if missing.
        shard_bytes: size at which a new file begins.
    """

    def __init__(self, folder: Path, *, shard_bytes: int) -> None:
        self._folder, self._limit = folder, shard_bytes
        self._waiting: list[bytes] = []
        self._size = self._files = self._part = 0

    def add(self, originals: Sequence[bytes], part: int = 0) -> None:
        """Append some; a new part begins a new file."""
        if part != self._part:
            self.close()
            self._part, self._files = part, 0
        for original in originals:
            self._waiting.append(original)
            self._size += len(original)
            if self._size >= self._limit:
                self.close()

    def close(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        ends = np.cumsum([len(original) for original in self._waiting], dtype=np.int64)
        content = np.frombuffer(b"".join(self._waiting), np.uint8)
        save_file({CONTENT: content, ENDS: ends}, self._folder / f"{self._part:05}-{self._files:05}.safetensors")
        self._files += 1
        self._waiting, self._size = [], 0


def read(folder: Path) -> Iterator[bytes]:
    """Yield all originals in a folder, in order."""
    for path in sorted(folder.glob("*.safetensors")):
        arrays = load_file(path)
        start = 0
        for end in arrays[ENDS].tolist():
            yield arrays[CONTENT][start:end].tobytes()
            start = end
