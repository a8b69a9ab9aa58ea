"""Splits: the order of an epoch, and rows read through memory maps and as streams."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.builders import ROOT
from training.data import LABEL, Shard, Split, Writer
from training.order import PIECES, Order, Pieces
from training.stream import Stream, open_split

ROWS, ROW_BYTES = 3000, 4 * 4 + 8
MEMORY = 24_000  # a third of the split below: windows of 375 rows


def write(folder: Path, rows: int = ROWS, *, shard_bytes: int = 9_000, width: int = 4) -> Path:
    """Write a split whose row n holds n in every column, in uneven shards."""
    writer, start = Writer(folder, shard_bytes=shard_bytes), 0
    for count in [37, 111, 200] * rows:
        numbers = np.arange(start, min(start + count, rows))
        writer.add({"x": np.repeat(numbers[:, None], width, axis=1).astype(np.float32), LABEL: numbers})
        start += len(numbers)
        if start == rows:
            break
    writer.close()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("split"))


def epoch(split: Split, order: Order, batch: int = 64) -> Iterator[dict[str, NDArray]]:
    for start in range(0, len(split), batch):
        yield split.take(order[start : start + batch])


def cut(shards: Sequence[int], *, memory: int, row_bytes: int = 92) -> Pieces:
    return Pieces.cut(shards, row_bytes=row_bytes, memory=memory)  # with its number, a row counts 100 bytes


def test_a_split_that_fits_is_permuted_as_a_whole() -> None:
    order = Order(cut([30, 50, 20], memory=10_000), seed=3, epoch=5)
    assert order[:].tolist() == np.random.default_rng([3, 5]).permutation(100).tolist()


@pytest.mark.parametrize("shards", [[1000], [10] * 100, [700, 1, 299], [333, 333, 334]])
@pytest.mark.parametrize("memory", [100_000, 99_999, 20_000, 500])
def test_an_epoch_takes_every_row_once(shards: list[int], memory: int) -> None:
    order = Order(cut(shards, memory=memory), seed=0)
    assert len(order) == 1000
    assert sorted(order[:].tolist()) == list(range(1000))


def test_two_windows_are_never_more_than_the_memory() -> None:
    order = Order(cut([70] * 40, memory=64_000), seed=0)
    sizes = [int(order.pieces.rows[window].sum()) for window in order.windows]
    assert max(sizes) * 100 * 2 <= 64_000
    assert min(sizes[:-1]) * 100 * 2 > 0.9 * 64_000


def test_the_order_is_that_of_its_seed_and_epoch() -> None:
    pieces = cut([1000], memory=20_000)
    same, again = Order(pieces, seed=1, epoch=2), Order(pieces, seed=1, epoch=2)
    assert same[:].tolist() == again[:].tolist()
    assert Order(pieces, seed=1, epoch=1).following[:].tolist() == same[:].tolist()
    for other in (Order(pieces, seed=1, epoch=3), Order(pieces, seed=2, epoch=2)):
        assert (other[:] == same[:]).mean() < 0.05


def test_any_part_of_an_order_can_be_had_without_the_parts_before() -> None:
    pieces = cut([400, 600], memory=20_000)
    whole = Order(pieces, seed=1)[:]
    for start, stop in [(0, 0), (990, 1010), (99, 101), (150, 420), (999, 1000)]:
        assert Order(pieces, seed=1)[start:stop].tolist() == whole[start:stop].tolist()


def test_rows_sorted_by_class_are_mixed_as_well_as_is_said() -> None:
    """training/order.py: the share p of a class strays by sqrt(p (1 - p) / PIECES) from window to window."""
    order = Order(cut([1000] * 64, memory=1_280_000), seed=0)  # windows of 6,400 rows, a tenth
    first_class = order[:] < 32_000
    shares = first_class[: 6400 * (len(first_class) // 6400)].reshape(-1, 6400).mean(axis=1)
    assert 0.3 * np.sqrt(0.25 / PIECES) < shares.std() < 1.5 * np.sqrt(0.25 / PIECES)
    batches = first_class[: 6400 * 9].reshape(-1, 64).mean(axis=1)
    assert 0.1 < batches.min() < batches.max() < 0.9


@pytest.mark.parametrize("memory", [MEMORY, 10**6])
def test_a_stream_gives_what_a_memory_map_gives(folder: Path, memory: int) -> None:
    mapped, streamed = (open_split(folder, input_mode=mode, memory=memory) for mode in ("file", "fastfile"))
    assert isinstance(streamed, Stream)
    assert not isinstance(mapped, Stream)
    for number in range(3):
        orders = [split.order(seed=7, epoch=number) for split in (mapped, streamed)]
        seen = []
        for one, two in zip(epoch(mapped, orders[0]), epoch(streamed, orders[1]), strict=True):
            assert one.keys() == two.keys()
            assert all(np.array_equal(one[name], two[name]) for name in one)
            assert (one["x"] == one[LABEL][:, None]).all()
            seen += one[LABEL].tolist()
        assert sorted(seen) == list(range(ROWS))


def test_a_stream_gives_any_rows(folder: Path) -> None:
    stream = Stream(folder, memory=MEMORY)
    assert stream.labels.tolist() == list(range(ROWS))
    assert stream.everything()[LABEL].tolist() == list(range(ROWS))
    rows = np.random.default_rng(0).integers(0, ROWS, 500)
    assert stream.take(rows)[LABEL].tolist() == rows.tolist()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each row is read from disk."""
    counts: Counter[int] = Counter()
    read = Shard.read

    def counted(shard: Shard, arrays: dict[str, NDArray], first: int = 0) -> None:
        read(shard, arrays, first)
        counts.update(arrays[LABEL].tolist())

    monkeypatch.setattr(Shard, "read", counted)
    return counts


def test_a_stream_reads_every_row_once_an_epoch_and_one_window_ahead(folder: Path, reads: Counter[int]) -> None:
    stream = Stream(folder, memory=MEMORY)
    order = stream.order(seed=0, epoch=0)
    assert len(order.windows) > 5
    batches = epoch(stream, order)
    next(batches)
    assert sum(reads.values()) <= 2 * stream.pieces.window_rows
    for _ in batches:
        pass
    assert set(reads) == set(range(ROWS))
    assert reads.total() <= ROWS + stream.pieces.window_rows  # the next epoch's first window is on its way
    for number in (1, 2, 3):
        for _ in epoch(stream, stream.order(seed=0, epoch=number)):
            pass
    assert reads.total() <= 4 * ROWS + stream.pieces.window_rows


def test_a_resumed_stream_does_not_read_what_was_learned_before(folder: Path, reads: Counter[int]) -> None:
    whole = Split(folder, memory=MEMORY).order(seed=0, epoch=4)[2000:]
    stream = Stream(folder, memory=MEMORY)
    order = stream.order(seed=0, epoch=4)
    taken = [stream.take(order[start : start + 50])[LABEL] for start in range(2000, ROWS, 50)]
    assert np.concatenate(taken).tolist() == whole.tolist()
    assert reads.total() < 2000


def test_a_stream_that_fits_is_read_once_for_all_epochs(folder: Path, reads: Counter[int]) -> None:
    stream = Stream(folder, memory=10**6)
    for number in range(3):
        for _ in epoch(stream, stream.order(seed=0, epoch=number)):
            pass
    assert reads.total() == ROWS


@pytest.mark.parametrize("mode", ["file", "fastfile"])
def test_a_split_without_shards_is_named(tmp_path: Path, mode: str) -> None:
    with pytest.raises(FileNotFoundError, match="there is no shard in"):
        open_split(tmp_path, input_mode=mode, memory=MEMORY)


def test_a_shard_that_was_cut_short_is_named(tmp_path: Path) -> None:
    shard = sorted(write(tmp_path / "a").iterdir())[-1]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(OSError, match=rf"{shard.name} ends before its rows do"):
        Stream(tmp_path / "a", memory=10**6).take(np.arange(ROWS))


BOUNDED = """
import re, sys
from pathlib import Path
from training.stream import open_split

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

split = open_split(Path(sys.argv[1]), input_mode=sys.argv[2], memory=16 * 2**20)
before, peak, rows = anonymous(), 0.0, 0
for number in range(2):
    order = split.order(seed=0, epoch=number)
    for start in range(0, len(split), 128):
        rows += len(split.take(order[start : start + 128])["label"])
        peak = max(peak, anonymous())
print(rows, peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from Linux's /proc")
@pytest.mark.parametrize("mode", ["file", "fastfile"])
def test_a_split_larger_than_memory_is_read_in_bounded_memory(tmp_path: Path, mode: str) -> None:
    """192 MiB through 16 MiB; without a bound it is 192 and more. Mapped pages are the file's, not the process's."""
    write(tmp_path / "a", 24_000, shard_bytes=32 * 2**20, width=2048)
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path / "a"), mode],
        capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    rows, grown = done.stdout.split()
    assert int(rows) == 2 * 24_000
    assert float(grown) < 16 + 8


@pytest.mark.parametrize("shard_bytes", [9_000, 10**6])
def test_all_rows_may_be_changed_and_no_shard_is(tmp_path: Path, shard_bytes: int) -> None:
    split = Split(write(tmp_path, shard_bytes=shard_bytes))
    rows = split.everything()
    assert rows[LABEL].tolist() == list(range(ROWS))
    assert (rows["x"] == np.arange(ROWS)[:, None]).all()
    rows["x"][:] = -1
    assert (split.everything()["x"] == np.arange(ROWS)[:, None]).all()
    assert (Split(tmp_path).take(np.arange(ROWS))["x"] == np.arange(ROWS)[:, None]).all()


EVERYTHING = """
import re, sys
from pathlib import Path
from training.data import Split

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before = anonymous()
rows = Split(Path(sys.argv[1])).everything()
assert sum(float(array.sum()) for array in rows.values()) > 0
print(anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from Linux's /proc")
@pytest.mark.parametrize("shard_bytes", [2**23, 2**30])
def test_all_rows_may_be_more_than_fit_into_memory(tmp_path: Path, shard_bytes: int) -> None:
    folder = write(tmp_path / "split", rows=30_000, shard_bytes=shard_bytes, width=500)  # 60 MB
    command = [sys.executable, "-c", EVERYTHING, str(folder)]
    grown = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert float(grown) < 20
