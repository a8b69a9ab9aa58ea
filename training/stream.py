"""A split as a stream: each piece of a shard is read once an epoch, from its first byte to its last.

Made for SageMaker's FastFile mode, where a channel's folder is a view of S3: reading on
is fast, a jump costs a request, and a memory map would fault in rows one request at a time.
While the rows of one window are learned from, the next window is read by threads
of its own, several pieces at a time. Nothing else is held; the ranks of a host hold it once (training.host_memory).

https://docs.aws.amazon.com/sagemaker/latest/dg/model-access-training-data.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import LABEL, Shard, Split, empty
from training.host_memory import Host, HostMemory, OwnPlace, Place
from training.order import Order, Pieces

READERS = 16
"""Reads at a time. S3 gives a connection 85-90 MB/s, so these are what a network of 10 Gbit/s can carry:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html"""

PATIENCE_SECONDS = 1.0
"""For a place that the other ranks of the host still hold, and let go of with the batch that they load now. A rank that
takes other rows than they do has memory of its own then."""


def open_split(folder: Path, *, input_mode: str, memory: int, host: Callable[[], Host | None] = lambda: None) -> Split:
    """Open a split of a training channel.

    Args:
        folder: the channel's.
        input_mode: ``file`` (memory-mapped) or ``fastfile`` (streamed).
        memory: bytes of rows that an epoch mixes at a time; the streams of a host hold no more.
        host: returns what the ranks of this host have in common, None for the only one; called by all ranks or none.
    """
    return Stream(folder, memory=memory, host=host()) if input_mode == "fastfile" else Split(folder, memory=memory)


class Stream(Split):
    """One split of a dataset, read window by window.

    Rows may be taken in any order, but only the order of an epoch, or that of the shards
    where none was begun, is fast: other rows are in windows that have to be read again.

    Args:
        folder: the split's folder of shards.
        memory: bytes of rows in memory.
        host: the ranks of this host, which hold them together; None for the only one.
    """

    def __init__(self, folder: Path, *, memory: int, host: Host | None = None) -> None:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{folder.name}")
        super().__init__(folder, memory=memory)
        self._order = Order(self.pieces, seed=None)
        self._held: dict[bytes, _Window] = {}
        self._together = HostMemory(host, self.shards[0], self.pieces) if host else None
        self._spare: list[OwnPlace] = []  # memory of a window that was let go of

    def _open(self) -> list[dict[str, NDArray]]:
        return []  # no maps

    @property
    def labels(self) -> NDArray:
        """The labels of all rows."""
        parts = [{LABEL: empty(shard, shard.rows)[LABEL]} for shard in self.shards]
        list(self._readers.map(lambda shard, part: shard.read(part), self.shards, parts))
        return np.concatenate([part[LABEL] for part in parts])

    def order(self, *, seed: int, epoch: int) -> Order:
        """Begin an epoch: from now on its windows are read, one ahead."""
        self._order = super().order(seed=seed, epoch=epoch)
        return self._order

    def take(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """Return the arrays of the given row numbers, in that order, copied; waits for windows that are being read."""
        window_of = self._order.window_of(rows)
        numbers = np.unique(window_of).tolist()
        windows = self._hold(numbers)
        if len(numbers) == 1:
            return windows[0].take(rows)
        taken = empty(self.shards[0], len(rows))
        for number, window in zip(numbers, windows, strict=True):
            where = np.flatnonzero(window_of == number)
            for name, array in window.take(rows[where]).items():
                taken[name][where] = array
        return taken

    def _hold(self, numbers: Sequence[int]) -> list[_Window]:
        """Return windows of the order; let go of all others, and begin to read the one after them."""
        wanted = [self._order.windows[number] for number in numbers]
        ahead = [self._after(numbers[-1])] if len(numbers) == 1 else []
        kept = {window.tobytes() for window in [*wanted, *ahead]}
        for key in self._held.keys() - kept:
            gone = self._held.pop(key).let_go()
            self._spare = [gone] if isinstance(gone, OwnPlace) else []
        for pieces in wanted:
            if pieces.tobytes() not in self._held:
                self._start(pieces, self._place(pieces, seconds=PATIENCE_SECONDS) or self._own_place())
        for pieces in ahead:
            # Where the other ranks hold both places for a moment yet, it is begun with a later batch.
            if pieces.tobytes() not in self._held and (place := self._place(pieces)):
                self._start(pieces, place)
        return [self._held[window.tobytes()] for window in wanted]

    def _place(self, pieces: NDArray[np.int64], *, seconds: float = 0) -> Place | OwnPlace | None:
        return self._together.hold(pieces.tobytes(), seconds=seconds) if self._together else self._own_place()

    def _own_place(self) -> OwnPlace:
        return self._spare.pop() if self._spare else OwnPlace(empty(self.shards[0], self.pieces.window_rows))

    def _start(self, pieces: NDArray[np.int64], place: Place | OwnPlace) -> None:
        self._held[pieces.tobytes()] = _Window(self.shards, self.pieces, pieces, place, self._readers)

    def _after(self, number: int) -> NDArray[np.int64]:
        """Return the pieces of the window after one; after an epoch's last comes the next epoch's first."""
        last = number + 1 == len(self._order.windows)
        return self._order.following.windows[0] if last else self._order.windows[number + 1]


class _Window:
    """The rows of some pieces, in memory or on their way there."""

    def __init__(
        self,
        shards: Sequence[Shard],
        pieces: Pieces,
        numbers: NDArray[np.int64],
        place: Place | OwnPlace,
        readers: ThreadPoolExecutor,
    ) -> None:
        self._place = place
        self._first = pieces.first[numbers]
        ends = np.cumsum(pieces.rows[numbers])
        self._begin = ends - pieces.rows[numbers]  # of each piece in the arrays
        starts = np.cumsum([0, *(shard.rows for shard in shards)])
        reads: list[Callable[[], None]] = []
        for number, begin, end in zip(numbers, self._begin.tolist(), ends.tolist(), strict=True):
            shard = int(pieces.shard[number])
            part = {name: array[begin:end] for name, array in place.arrays.items()}
            first = int(pieces.first[number] - starts[shard])
            reads += [partial(shards[shard].read, request, first) for request in shards[shard].requests(part, first)]
        begin = place.begin(len(reads))
        turns = [*range(begin, len(reads)), *range(begin)]
        self._reads: list[Future[None]] = [readers.submit(place.fill, number, reads[number]) for number in turns]

    def let_go(self) -> Place | OwnPlace:
        """Read no further, and return the memory, which nothing is written to any more."""
        for read in self._reads:
            read.cancel()
        wait(self._reads)
        self._place.let_go()
        return self._place

    def take(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """Return rows that are in this window, once they are here."""
        while self._reads:
            self._reads[-1].result()
            self._reads.pop()
        piece = np.searchsorted(self._first, rows, side="right") - 1
        places = self._begin[piece] + rows - self._first[piece]
        return {name: array[places] for name, array in self._place.arrays.items()}
