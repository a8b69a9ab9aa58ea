"""How fast rows come from S3: our packed shards against WebDataset, MosaicML Streaming and s3torchconnector.

    python -m benchmarks.s3_load [ROUNDS]

The same rows are put into a laptop cloud's S3 in each reader's own format, in shards of the same size; each reader
then takes one shuffled epoch of batches of 256, cold, in a process of its own, in turns with the others. A peer is
measured with no worker process and with two, and its better figures count. The best of the rounds is taken:
other work on the machine only slows down. It does not slow the second figure down, rows for a second of the processor,
of the reader and of its workers; threads that wait for S3 cost nothing there, and neither does S3's own server, which
is in every figure of the clock alike.

An object a row is slow to write: that format gets the first OBJECTS rows only, and is compared by rows a second.

The larger a dataset is, the less opening it weighs, which costs all readers but curl a client of S3: so images of one
size come in two amounts.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.s3_readers import BUCKET, READERS
from benchmarks.side_by_side import Goal, need, report
from local.cloud import Cloud
from training.data import Writer

DATASETS = {"64x64-164MB": (40_000, 64), "64x64-82MB": (20_000, 64), "8x8-3MB": (40_000, 8)}
"""Rows, side of a grey image."""
BLOCK = 100  # rows made at a time
SHARD_BYTES, OBJECTS, ROUNDS, WORKERS = 16 * 2**20, 1000, 3, (0, 2)
GOAL = Goal(at_least=2.0)
UNITS = {"rows/s": "seconds", "rows/processor s": "processor_seconds"}


def images(rows: int, side: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield noise, as images compress no better, with a label each, BLOCK rows at a time."""
    source = np.random.default_rng(0)
    for _ in range(0, rows, BLOCK):
        yield source.integers(0, 256, (BLOCK, side, side, 1), np.uint8), source.integers(0, 10, BLOCK)


@cache
def label_sum(dataset: str, rows: int) -> int:
    """Return what the labels of a dataset's first rows add up to."""
    return int(np.concatenate([labels for _, labels in images(*DATASETS[dataset])])[:rows].sum())


def write(folder: Path, rows: int, side: int) -> None:
    """Write the rows in every format below ``folder``."""
    from streaming import MDSWriter

    packed = Writer(folder / "safetensors", shard_bytes=SHARD_BYTES)
    tars = Tars(folder / "tar")
    columns = {"image": f"ndarray:uint8:{side},{side},1", "label": "int"}
    (folder / "objects").mkdir(parents=True)
    with MDSWriter(out=str(folder / "mds"), columns=columns, size_limit=SHARD_BYTES) as mds:
        for block, (pixels, labels) in enumerate(images(rows, side)):
            packed.add({"image": pixels, "label": labels})
            for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True), start=block * BLOCK):
                mds.write({"image": image, "label": label})
                tars.add(number, image, label)
                if number < OBJECTS:
                    np.save(folder / f"objects/{number:07}-{label}.npy", image)
    packed.close()
    tars.close()


class Tars:
    """Tars of about SHARD_BYTES, as WebDataset has them: ``NUMBER.npy`` and ``NUMBER.cls``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._count = folder, 0
        self._open()

    def add(self, number: int, image: NDArray[np.uint8], label: int) -> None:
        """Append a row."""
        content = io.BytesIO()
        np.save(content, image)
        for suffix, data in (("npy", content.getvalue()), ("cls", str(label).encode())):
            member = tarfile.TarInfo(f"{number:07}.{suffix}")
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))
        if self._tar.offset >= SHARD_BYTES:
            self.close()
            self._open()

    def close(self) -> None:
        """End the tar."""
        self._tar.close()

    def _open(self) -> None:
        self._tar = tarfile.open(self._folder / f"{self._count:05}.tar", "w")  # noqa: SIM115
        self._count += 1


def measure(reader: str, dataset: str, workers: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return what one cold epoch took.

    Raises:
        subprocess.CalledProcessError: when the reader failed; its words are on stderr.
    """
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.s3_readers", reader, dataset, str(workers)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def check(found: dict[str, Any], reader: str, dataset: str) -> None:
    """Refuse a reader that did not give every row once."""
    wanted = OBJECTS if reader == "s3torchconnector" else DATASETS[dataset][0]
    labels = label_sum(dataset, wanted)
    if (found["rows"], found["labels"]) != (wanted, labels):
        raise RuntimeError(
            f"{reader} read {found}, not the {wanted} rows of {dataset}, whose labels add up to {labels}"
        )


def upload(cloud: Cloud, folder: Path) -> None:
    """Put everything below ``folder`` into the bucket."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        cloud.client("s3").put_object(Bucket=BUCKET, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())


def main(rounds: int = ROUNDS) -> int:
    """Measure, and print what was found."""
    need(["webdataset", "streaming", "s3torchconnector"], extra="benchmarks-s3")
    best: dict[tuple[str, str, str], float] = {}
    with tempfile.TemporaryDirectory() as scratch, Cloud(root=Path(scratch, "cloud")) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        for name, (rows, side) in DATASETS.items():
            write(Path(scratch, "data", name), rows, side)
        upload(cloud, Path(scratch, "data"))
        environment = {**os.environ, **cloud.environment, "OMP_NUM_THREADS": "1"}
        for _ in range(rounds):
            for dataset in DATASETS:
                for reader in READERS:
                    for workers in (0,) if reader == "ours" else WORKERS:
                        found = measure(reader, dataset, workers, environment)
                        check(found, reader, dataset)
                        speeds = {unit: found["rows"] / found[field] for unit, field in UNITS.items()}
                        told = ", ".join(f"{speed:,.0f} {unit}" for unit, speed in speeds.items())
                        print(f"{dataset}  {reader}  {workers} workers: {told}", file=sys.stderr, flush=True)
                        for unit, speed in speeds.items():
                            best[dataset, reader, unit] = max(best.get((dataset, reader, unit), 0.0), speed)
    table, ratios = [], {}
    for dataset in DATASETS:
        for unit in UNITS:
            peers = max(best[dataset, reader, unit] for reader in READERS if reader != "ours")
            ratios[f"{dataset}, {unit}: ours / best peer"] = best[dataset, "ours", unit] / peers
        for reader in READERS:
            row: dict[str, object] = {"dataset": dataset, "reader": reader}
            for unit in UNITS:
                speed = best[dataset, reader, unit]
                row |= {unit: speed, f"ours, {unit}": best[dataset, "ours", unit] / speed}
            table.append(row)
    return report("s3_load", table, ratios=ratios, goals=dict.fromkeys(ratios, GOAL))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
