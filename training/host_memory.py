"""Windows of rows that the ranks of one host hold once, and read once, however many GPUs it has.

The ranks share a file in memory (``memfd_create``) that goes when the last of them ends, and no limit of /dev/shm
applies to. It has room for two windows. Who needs one looks there first; if it is not there, it takes a place that no
rank holds. Each part is read by whichever rank comes first. All that is agreed by locks of the file's bytes
(``fcntl``), which the kernel takes back from a rank that dies: another one then reads what it left unread.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import Shard
from training.order import Pieces

WINDOWS = 2  # the one in use, and the next
ALIGNMENT = 64  # bytes
POLL_SECONDS = 0.002
CHOOSING = 0  # the lock of who looks for a window's place; those of places and of their parts follow


@dataclass(frozen=True, kw_only=True)
class Host:
    """What the ranks of a host have in common.

    Attributes:
        file: descriptor of the file in memory.
        number: this rank's among the host's.
        ranks: how many the host has.
    """

    file: int
    number: int
    ranks: int


class HostMemory:
    """Places for windows.

    Args:
        host: the ranks of this host.
        like: a shard that has the columns.
        pieces: how the split is cut.
    """

    def __init__(self, host: Host, like: Shard, pieces: Pieces) -> None:
        self.host, self._held = host, set[int]()
        self._parts = len(pieces.rows) * len(like.columns)  # that a window may be read in
        rows = {name: (pieces.window_rows, *column.shape) for name, column in like.columns.items()}
        sizes = {name: pieces.window_rows * column.row_bytes for name, column in like.columns.items()}
        names = np.dtype([("window", "S32"), ("read", np.bool_, (self._parts,))])
        size = _up(WINDOWS * names.itemsize) + WINDOWS * sum(map(_up, sizes.values()))
        os.truncate(host.file, size)  # memory is taken where it is written to
        self._map = mmap.mmap(host.file, size)
        self._known = np.frombuffer(self._map, names, WINDOWS)
        self._arrays: list[dict[str, NDArray]] = []
        place = _up(WINDOWS * names.itemsize)
        for _ in range(WINDOWS):
            self._arrays.append({})
            for name, column in like.columns.items():
                count = int(np.prod(rows[name], dtype=np.int64))
                self._arrays[-1][name] = np.frombuffer(self._map, column.dtype, count, place).reshape(rows[name])
                place += _up(sizes[name])

    def hold(self, window: bytes, *, seconds: float = 0) -> Place | None:
        """Return the place of a window, which nobody else gives another one while it is held; None while both are.

        Args:
            window: what tells it from all others.
            seconds: how long to wait for a place that another rank holds.
        """
        deadline = time.monotonic() + seconds
        while not (place := self._find(window)) and len(self._held) < WINDOWS and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return place

    def _find(self, window: bytes) -> Place | None:
        name = np.bytes_(hashlib.sha256(window).hexdigest()[:32].encode())
        with self._locked(CHOOSING):
            known = [number for number in range(WINDOWS) if self._known[number]["window"] == name]
            for number in known or [number for number in range(WINDOWS) if number not in self._held]:
                if known or self._lock(1 + number, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    if not known:
                        self._known["read"][number] = False
                        self._known["window"][number] = name
                    self._lock(1 + number, fcntl.LOCK_SH)
                    self._held.add(number)
                    return Place(self, number, self._arrays[number])
        return None

    def let_go(self, number: int) -> None:
        """Hold a place no longer."""
        self._held.discard(number)
        self._lock(1 + number, fcntl.LOCK_UN)

    def fill(self, number: int, part: int, read: Callable[[], None]) -> None:
        """Have a part of a place read, here or by another rank; returns when that is done."""
        lock = 1 + WINDOWS + number * self._parts + part
        while not self._lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            time.sleep(POLL_SECONDS)  # waiting in the kernel, threads of two ranks would be taken for a deadlock
        try:
            if not self._known["read"][number, part]:
                read()
                self._known["read"][number, part] = True
        finally:
            self._lock(lock, fcntl.LOCK_UN)

    @contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        self._lock(byte, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._lock(byte, fcntl.LOCK_UN)

    def _lock(self, byte: int, how: int) -> bool:
        """Lock one byte; return False where another rank has it and ``how`` is not to wait."""
        try:
            fcntl.lockf(self.host.file, how, 1, byte)
        except BlockingIOError:
            return False
        return True


class Place:
    """Memory of a window that this host's ranks share."""

    def __init__(self, memory: HostMemory, number: int, arrays: dict[str, NDArray]) -> None:
        self.arrays, self._memory, self._number = arrays, memory, number

    def begin(self, parts: int) -> int:
        """Return which of a window's parts this rank shall read first: each another one."""
        return self._memory.host.number * parts // self._memory.host.ranks

    def fill(self, part: int, read: Callable[[], None]) -> None:
        """Have a part read, if no rank has."""
        self._memory.fill(self._number, part, read)

    def let_go(self) -> None:
        """Use it no longer."""
        self._memory.let_go(self._number)


class OwnPlace:
    """Memory of a window that only this rank has."""

    def __init__(self, arrays: dict[str, NDArray]) -> None:
        self.arrays = arrays

    def begin(self, parts: int) -> int:
        """Return which of a window's parts shall be read first."""
        return 0

    def fill(self, part: int, read: Callable[[], None]) -> None:
        """Have a part read."""
        read()

    def let_go(self) -> None:
        """Use it no longer."""


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
