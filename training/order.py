"""In which order an epoch takes the rows of a split that may be larger than memory.

One rule for every size. Shards are cut into *pieces* of neighbouring rows; an epoch
shuffles the pieces, fills *windows* with as many as memory holds, and shuffles the
rows of each window. So every piece is read once an epoch, from its first to its last byte,
and what is in memory is bounded. A split that fits is one window, and its order
is a permutation of all its rows.

How good the shuffle is: a row's neighbours in a batch come from the PIECES or so
pieces of its window, which are drawn anew each epoch. Of rows that were uploaded sorted by
class, the share p of a class in a window strays by sqrt(p (1 - p) / PIECES) from one
window to the next: for a half, by 9 points. Rows in no particular order lose nothing.

The order depends on the seed, the epoch, the memory and how the rows lie in their
shards: not on the number of ranks or hosts, nor on how the rows are read. Any part of it
can be had without the parts before, so a resumed epoch goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

PIECES = 32  # of a window, at least: more shuffle better, fewer are larger reads
NUMBER_BYTES = 8  # of a row's place in the order
CUT = (0, 1)  # tells the generator of pieces from those of windows, which go on with (window,)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """How a split is cut.

    Attributes:
        shard: the shard of each piece [n].
        first: the row that each piece begins with, counted over all shards [n].
        rows: how many rows it has [n].
        window_rows: rows that a window holds at most.
    """

    shard: NDArray[np.int64]
    first: NDArray[np.int64]
    rows: NDArray[np.int64]
    window_rows: int

    @classmethod
    def cut(cls, rows_of_shards: Sequence[int], *, row_bytes: int, memory: int) -> Pieces:
        """Cut shards for ``memory`` bytes: half of it is the window in use, half the one being read.

        A split that fits as a whole is one window, and is not cut.
        """
        each, total = row_bytes + NUMBER_BYTES, sum(rows_of_shards)
        fits = total * each <= memory
        window = total if fits else max(memory // 2 // each, 1)
        longest = window if fits else max(window // PIECES, 1)
        shard, first, rows = [], [], []
        start = 0
        for number, count in enumerate(rows_of_shards):
            for begin in range(0, count, longest):
                shard.append(number)
                first.append(start + begin)
                rows.append(min(longest, count - begin))
            start += count
        return cls(
            shard=np.array(shard, np.int64),
            first=np.array(first, np.int64),
            rows=np.array(rows, np.int64),
            window_rows=window,
        )

    def piece_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the piece of each row."""
        return np.searchsorted(self.first, rows, side="right") - 1


class Order:
    """The order of one epoch: ``order[start:stop]`` are the rows at these places, int64.

    Args:
        pieces: how the split is cut.
        seed: of the training job; None leaves the rows as they lie.
        epoch: counts from 0.
    """

    def __init__(self, pieces: Pieces, *, seed: int | None, epoch: int = 0) -> None:
        self.pieces, self._seed, self._epoch = pieces, seed, epoch
        numbers = np.arange(len(pieces.rows))
        if seed is not None:
            numbers = np.random.default_rng([seed, epoch, *CUT]).permutation(len(numbers))
        self.windows = _fill(numbers, pieces)
        self._ends = np.cumsum([pieces.rows[window].sum() for window in self.windows])
        self._shuffled: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, places: slice) -> NDArray[np.int64]:
        start, stop, _ = places.indices(len(self))
        if start >= stop:
            return np.empty(0, np.int64)
        first, last = np.searchsorted(self._ends, [start, stop - 1], side="right").tolist()
        parts = []
        for window in range(first, last + 1):
            begin = int(self._ends[window - 1]) if window else 0
            parts.append(self._rows(window)[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts)

    @cached_property
    def following(self) -> Order:
        """The order of the epoch after this one."""
        return Order(self.pieces, seed=self._seed, epoch=self._epoch + 1)

    def window_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the window that each row is in."""
        return self._window_of_piece[self.pieces.piece_of(rows)]

    @cached_property
    def _window_of_piece(self) -> NDArray[np.int64]:
        numbers = np.empty(len(self.pieces.rows), np.int64)
        for number, window in enumerate(self.windows):
            numbers[window] = number
        return numbers

    def _rows(self, window: int) -> NDArray[np.int64]:
        """Return a window's rows in their order; the last answer is kept."""
        if self._shuffled[0] != window:
            first, count = self.pieces.first[self.windows[window]], self.pieces.rows[self.windows[window]]
            rows = np.concatenate([np.arange(a, a + n) for a, n in zip(first, count, strict=True)])
            if self._seed is not None:
                np.random.default_rng([self._seed, self._epoch, window]).shuffle(rows)
            self._shuffled = (window, rows)
        return self._shuffled[1]


def _fill(numbers: NDArray[np.int64], pieces: Pieces) -> list[NDArray[np.int64]]:
    """Return which pieces each window has, sorted: taken in the order of ``numbers`` until the next one is too many."""
    windows: list[list[int]] = [[]]
    held = 0
    for number in numbers.tolist():
        count = int(pieces.rows[number])
        if windows[-1] and held + count > pieces.window_rows:
            windows.append([])
            held = 0
        windows[-1].append(number)
        held += count
    return [np.sort(np.array(window, np.int64)) for window in windows]
