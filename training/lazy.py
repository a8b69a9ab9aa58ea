"""The arrays of a split by name, each read when it is asked for: metrics need few of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from training.data import LABEL, Split

BATCH = 4096


class LazyArrays(Mapping[str, NDArray]):
    """All rows of a split; what was read once is kept.

    Args:
        split: the rows.
    """

    def __init__(self, split: Split) -> None:
        self._split, self._kept = split, dict[str, NDArray]()
        self._names = tuple(split.take(np.arange(1)))

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._split.labels if name == LABEL else self._read(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _read(self, name: str) -> NDArray:
        rows = len(self._split)
        batches = (np.arange(first, min(first + BATCH, rows)) for first in range(0, rows, BATCH))
        return np.concatenate([self._split.take(batch)[name] for batch in batches])
