"""Ranks of one host hold the windows of a stream once, and read them once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.test_data import MEMORY, ROWS, write
from training.data import LABEL, Shard
from training.host_memory import WINDOWS, Host, HostMemory
from training.order import Pieces
from training.stream import Stream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks share memory by a file of Linux's")
BATCH, EPOCHS, RANKS = 50, 2, 3
SECONDS = 60


def host(file: str, number: int, ranks: int = RANKS) -> Host:
    return Host(file=os.open(file, os.O_RDWR), number=number, ranks=ranks)


def learn(folder: Path, file: str, number: int, together: Barrier, told: Any) -> None:
    """Take this rank's part of each batch, when all ranks do; tell the rows, the reads and the windows of its own."""
    split, reads = Stream(folder, memory=MEMORY, host=host(file, number)), [0]
    read, own = Shard.read, split._own_place
    owned = []

    def counting(*args: Any) -> None:
        reads[0] += 1
        read(*args)

    Shard.read = counting  # type: ignore[assignment, method-assign]
    split._own_place = lambda: owned.append(1) or own()  # type: ignore[func-returns-value, method-assign]
    rows = []
    for number_of_epoch in range(EPOCHS):
        order = split.order(seed=7, epoch=number_of_epoch)
        for start in range(0, len(split), BATCH):
            together.wait(SECONDS)
            part = order[start : start + BATCH][number::RANKS]
            taken = split.take(part)
            assert (taken[LABEL] == part).all()
            assert (taken["x"] == part[:, None]).all()
            rows.append(part)
    together.wait(SECONDS)
    split._readers.shutdown()
    told.put((number, np.concatenate(rows), reads[0], len(owned)))


def test_every_piece_is_read_by_one_rank_and_every_rank_gets_its_rows(tmp_path: Path) -> None:
    folder, spawn = write(tmp_path / "split"), multiprocessing.get_context("spawn")
    file = os.memfd_create("test")
    told, barrier = spawn.Queue(), spawn.Barrier(RANKS)
    ranks = [
        spawn.Process(target=learn, daemon=True, args=(folder, f"/proc/{os.getpid()}/fd/{file}", number, barrier, told))
        for number in range(RANKS)
    ]
    for rank in ranks:
        rank.start()
    found = [told.get(timeout=SECONDS) for _ in ranks]
    for rank in ranks:
        rank.join()
    split = Stream(folder, memory=MEMORY)
    assert sorted(np.concatenate([rows for _, rows, _, _ in found]).tolist()) == sorted([*range(ROWS)] * EPOCHS)
    ahead = len(split.order(seed=7, epoch=EPOCHS).windows[0])  # an epoch's first window is begun in the one before
    assert sum(reads for _, _, reads, _ in found) in range(
        EPOCHS * len(split.pieces.rows), EPOCHS * len(split.pieces.rows) + ahead + 1
    )
    assert [owned for _, _, _, owned in found] == [0] * RANKS
    assert os.fstat(file).st_blocks * 512 < MEMORY + 3 * 4096  # what says which window is where, and rounded up
    os.close(file)


def die_while_reading(folder: Path, file: str) -> None:
    Shard.read = lambda *_: os._exit(1)  # type: ignore[method-assign]
    split = Stream(folder, memory=MEMORY, host=host(file, 0, 2))
    split.take(split.order(seed=0, epoch=0)[:10])


def test_what_a_dead_rank_left_unread_is_read_by_another(tmp_path: Path) -> None:
    folder, spawn = write(tmp_path / "split"), multiprocessing.get_context("spawn")
    file = os.memfd_create("test")
    rank = spawn.Process(target=die_while_reading, args=(folder, f"/proc/{os.getpid()}/fd/{file}"), daemon=True)
    rank.start()
    rank.join(SECONDS)
    assert rank.exitcode == 1
    split = Stream(folder, memory=MEMORY, host=host(f"/proc/self/fd/{file}", 1, 2))
    rows = split.order(seed=0, epoch=0)[:200]
    assert (split.take(rows)[LABEL] == rows).all()
    os.close(file)


def hold_all(folder: Path, file: str, held: Any, done: Any) -> None:
    split = Stream(folder, memory=MEMORY)
    memory = HostMemory(host(file, 0, 2), split.shards[0], split.pieces)
    assert all(memory.hold(bytes([number])) for number in range(WINDOWS))
    assert memory.hold(b"one more") is None
    held.set()
    assert done.wait(SECONDS)
    memory.let_go(0)
    held.set()


def test_a_place_that_is_held_is_given_to_no_other_window(tmp_path: Path) -> None:
    folder, spawn = write(tmp_path / "split"), multiprocessing.get_context("spawn")
    file = os.memfd_create("test")
    held, done = spawn.Event(), spawn.Event()
    rank = spawn.Process(target=hold_all, daemon=True, args=(folder, f"/proc/{os.getpid()}/fd/{file}", held, done))
    rank.start()
    assert held.wait(SECONDS)
    held.clear()
    split = Stream(folder, memory=MEMORY, host=host(f"/proc/self/fd/{file}", 1, 2))
    assert split._together is not None
    assert split._together.hold(b"another") is None
    rows = split.order(seed=0, epoch=0)[:10]
    assert (split.take(rows)[LABEL] == rows).all()  # from memory of its own
    done.set()
    assert held.wait(SECONDS)
    place = split._together.hold(b"another")
    assert place is not None
    place.let_go()
    rank.join()
    os.close(file)


def test_a_window_that_is_still_there_is_not_read_again(tmp_path: Path) -> None:
    file = os.memfd_create("test")
    split = Stream(write(tmp_path / "split"), memory=MEMORY)
    memory = HostMemory(
        Host(file=file, number=0, ranks=1), split.shards[0], Pieces.cut([ROWS], row_bytes=24, memory=MEMORY)
    )
    reads: list[str] = []
    for _ in range(2):
        place = memory.hold(b"a window")
        assert place is not None
        place.fill(3, lambda: reads.append("part 3"))
        place.let_go()
    assert reads == ["part 3"]
    os.close(file)
