"""Training from streams: the weights are those of memory-mapped rows, and memory is bounded."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract import keys
from contract.parsing import to_dict
from tests.training import ranks
from tests.training.builders import start, training_job
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.data import LABEL, ROW, Split, Writer, read_schema
from training.stream import Stream
from training.train import Trainer

COPIES = 400  # of the small table: some megabytes, through one megabyte of memory
SETTINGS: dict[str, Any] = {
    "epochs": 2, "batch_size": 4096, "learning_rate": 0.01, "options": {"hidden": 8, "layers": 1}, "shuffle_mb": 1
}  # fmt: skip


@pytest.fixture(scope="module")
def large(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small table over and over, in shards that are no multiple of anything."""
    out = tmp_path_factory.mktemp("prepared") / "large"
    shutil.copytree(table, out)
    rows = Split(table / keys.DATASET / "train").everything()
    shutil.rmtree(out / keys.DATASET / "train")
    writer = Writer(out / keys.DATASET / "train", shard_bytes=700_000)
    for copy in range(COPIES):
        writer.add({**rows, ROW: rows[ROW] + copy * len(rows[ROW])})
    writer.close()
    return out


def trainer(base: Path) -> Trainer:
    container = Container(base=base)
    return Trainer(TrainConfig.from_hyperparameters(container.hyperparameters()), container, Cluster())


def weights(of: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in of.model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_streamed_rows_give_the_weights_of_mapped_ones_bit_for_bit(large: Path, tmp_path: Path) -> None:
    trained = []
    for mode in ("file", "fastfile"):
        mine = trainer(training_job(tmp_path / mode, large, input_mode=mode, **SETTINGS))
        assert isinstance(mine.train_rows, Stream) == (mode == "fastfile")
        assert len(mine.train_rows.order(seed=0, epoch=0).windows) > 3
        assert mine.run()
        trained.append(weights(mine))
    assert equal(*trained)


def test_a_stream_is_resumed_in_the_middle_of_an_epoch_bit_for_bit(large: Path, tmp_path: Path) -> None:
    whole = trainer(training_job(tmp_path / "whole", large, input_mode="fastfile", **SETTINGS))
    whole.run()
    base = training_job(tmp_path / "cut", large, input_mode="fastfile", **SETTINGS)
    first = trainer(base)
    update, calls = first.update, 0

    def stopping(*args: object) -> tuple[float, bool]:
        nonlocal calls
        calls += 1
        first.cluster.stopping = calls == first.steps + first.steps // 2
        return update(*args)  # type: ignore[arg-type]

    first.update = stopping  # type: ignore[method-assign, assignment]
    assert not first.run()
    second = trainer(base)
    assert (second.progress.epoch, second.progress.step) == (1, first.steps // 2)
    assert second.run()
    assert equal(weights(whole), weights(second))


@pytest.mark.skipif(sys.platform != "linux", reason="ranks share memory by a file of Linux's")
def test_ranks_of_a_host_learn_from_one_stream_what_one_process_learns(large: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"input_mode": "fastfile"}
    alone = trainer(training_job(tmp_path / "alone", large, **settings))
    assert alone.run()
    cases = {"together": {"do": "training", "settings": settings}}
    ranks.run_cases(tmp_path, large, cases, size=2, one_host=True)
    found = ranks.result(tmp_path, "together")
    for name, value in alone.model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)


BOUNDED = """
import re
from pathlib import Path
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.train import Trainer

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

container = Container.here()
mine = Trainer(TrainConfig.from_hyperparameters(container.hyperparameters()), container, Cluster())
mine.update(mine.validation_rows.order(seed=0, epoch=0)[:512])  # what torch itself takes, once
before, peak, update = anonymous(), [0.0], mine.update

def measured(rows):
    result = update(rows)
    peak[0] = max(peak[0], anonymous())
    return result

mine.update = measured
assert mine.run()
print("grown:", peak[0] - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from Linux's /proc")
@pytest.mark.parametrize("mode", ["file", "fastfile"])
def test_a_dataset_larger_than_its_memory_is_trained_on_in_bounded_memory(
    table: Path, tmp_path: Path, mode: str
) -> None:
    """160 MiB of rows through 16 MiB."""
    out = wide(table, tmp_path / "wide", rows=20_000, columns=2048)
    settings = SETTINGS | {"epochs": 1, "batch_size": 512, "shuffle_mb": 16}
    base = training_job(tmp_path / "job", out, input_mode=mode, **settings)
    process = start(base, "-c", BOUNDED)
    output = process.communicate(timeout=90)[0]
    assert process.returncode == 0, output
    assert float(output.rsplit("grown:", 1)[1]) < 16 + 32, output  # batches, gradients and what torch keeps of them


def wide(table: Path, out: Path, *, rows: int, columns: int) -> Path:
    """Write a dataset of many number columns; returns what preparation would have left."""
    shutil.copytree(table, out)
    schema = read_schema(out / keys.DATASET)
    number = next(feature for feature in schema.features if feature.kind == "number")
    features = tuple(dataclasses.replace(number, name=f"x{place}") for place in range(columns))
    tensor = next(tensor for tensor in schema.inputs if tensor.dtype == "float32")
    inputs = (dataclasses.replace(tensor, shape=(-1, columns)),)
    (out / keys.DATASET_SCHEMA).write_text(
        json.dumps(to_dict(dataclasses.replace(schema, features=features, inputs=inputs)))
    )
    source = np.random.default_rng(0)
    for split, count in (("train", rows), ("validation", 1000)):
        shutil.rmtree(out / keys.DATASET / split)
        writer = Writer(out / keys.DATASET / split, shard_bytes=32 * 2**20)
        for _ in range(0, count, 500):
            values = source.normal(size=(500, columns)).astype(np.float32)
            writer.add({tensor.name: values, LABEL: (values[:, 0] > 0).astype(np.int64)})
        writer.close()
    return out
