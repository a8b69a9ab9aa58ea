"""What stops a training, and what its message says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from contract import keys
from contract.errors import InvalidConfig, TrainingFailed
from tests.training.builders import environment, start, training_job
from tests.training.ranks import trainer
from tests.training.test_launch import HOSTS, job, launch_all
from training import failures, launch, progress
from training.cluster import Cluster
from training.data import ROW
from training.train import Trainer

THIRD_BATCH = """
import os, signal, time
if os.environ.get("RANK") == "{rank}":
    from training.data import Split
    take, calls = Split.take, []
    def taking(self, rows):
        calls.append(rows)
        if len(calls) == 3:
            {fault}
        return take(self, rows)
    Split.take = taking
"""


def alone(base: Path, table: Path, **settings: Any) -> Trainer:
    return trainer(training_job(base, table, **settings), Cluster())


def strike(folder: Path, fault: str, *, rank: int) -> str:
    """Return a PYTHONPATH that makes a rank do ``fault`` when it takes its third batch."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(THIRD_BATCH.format(rank=rank, fault=fault))
    return os.pathsep.join((str(folder), environment(folder)["PYTHONPATH"]))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("time.sleep(600)", "rank 1 on 127.0.0.2 hangs: no step for"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "rank 1 on 127.0.0.2 was killed by SIGKILL; the host has probably"),
    ],
)  # fmt: skip
def test_a_dead_or_hung_rank_ends_the_job_in_seconds_by_name(
    fault: str, says: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", strike(tmp_path / "site", fault, rank=1))
    bases = job(tmp_path, table, epochs=5000, rank_timeout_seconds=4)
    began = time.monotonic()
    first, second = launch_all(bases, PYTHONPATH=os.environ["PYTHONPATH"])
    assert time.monotonic() - began < 90  # of which two thirds are starting up, on a busy machine
    assert second.endswith("exit 1"), second
    cause = (bases[1] / "output/failure").read_text()
    assert says in cause
    assert "torch/distributed/run.py" not in cause
    if "hangs" in says:
        assert re.search(r"in epoch 1, step [23], while loading rows", cause)
        assert "time.sleep" in cause or "in taking" in cause  # the stack of what hangs
    assert first.endswith("exit 1"), first
    other = (bases[0] / "output/failure").read_text()
    assert "rank 1 on 127.0.0.2 hangs" in other or other.startswith(launch.LOST_PEER_NOTE)


def test_a_rank_alone_that_hangs_is_ended_too(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, rank_timeout_seconds=3)
    path = strike(tmp_path / "site", "time.sleep(600)", rank=0)
    process = start(base, "-m", "training.train", PYTHONPATH=path, RANK="0")
    output = process.communicate(timeout=90)[0]
    assert process.returncode == 1
    assert "rank 0 on algo-1 hangs: no step for" in output


def test_a_frozen_process_is_named_by_the_others(table: Path, tmp_path: Path) -> None:
    path = strike(tmp_path / "site", "os.kill(os.getpid(), signal.SIGSTOP)", rank=1)
    bases = [training_job(tmp_path / f"rank-{n}", table, host=HOSTS[n], hosts=HOSTS, rank_timeout_seconds=4)
             for n in range(2)]  # fmt: skip
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "23011", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    processes = [
        start(base, "-m", "training.train", PYTHONPATH=path, RANK=str(rank), **meeting)
        for rank, base in enumerate(bases)
    ]
    try:
        output = processes[0].communicate(timeout=60)[0]
    finally:
        processes[1].kill()
        processes[1].communicate()
    assert "rank 1 on 127.0.0.2 hangs: no step for" in output
    assert ", last heard of in epoch " in output


def test_a_loss_above_its_limit_names_the_batch(table: Path, tmp_path: Path) -> None:
    mine = alone(tmp_path / "a", table, batch_size=20, max_loss=1e-9)
    rows = mine.train_rows.order(seed=0, epoch=0)[0:20]
    with pytest.raises(TrainingFailed) as stopped:
        mine.run()
    text, arrays = str(stopped.value), mine.train_rows.take(rows)
    numbers = arrays[ROW].tolist()
    assert "above train.max_loss = 1e-09, in epoch 1, step 1 of" in text
    assert f"({', '.join(map(str, numbers[:5]))}, ...; from {min(numbers)} to {max(numbers)}" in text
    assert f"sha256 {failures.fingerprint(rows, arrays)}" in text


def test_a_batchs_fingerprint_is_of_its_rows_and_their_content() -> None:
    rows, arrays = np.array([3, 1]), {"label": np.array([0, 1]), "x": np.array([1.5, np.nan], np.float32)}
    found = failures.fingerprint(rows, arrays)
    assert found == failures.fingerprint(rows, dict(reversed(arrays.items())))
    assert len(found) == len(hashlib.sha256().hexdigest())
    assert found != failures.fingerprint(rows[::-1], arrays)
    assert found != failures.fingerprint(rows, arrays | {"x": np.array([1.5, 2], np.float32)})


def test_a_gradient_that_cannot_be_clipped_stops(table: Path, tmp_path: Path) -> None:
    mine = alone(tmp_path / "a", table, clip_norm=1.0)
    next(mine.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingFailed, match=r"the gradient's norm is (inf|nan) in epoch 1, step 1 of"):
        mine.run()


def test_patience_ends_a_training_that_does_not_get_better(table: Path, tmp_path: Path) -> None:
    mine = alone(tmp_path / "a", table, epochs=200, patience=2, learning_rate=0.01)
    assert mine.run()
    best = int(mine.progress.best["epoch"])
    assert mine.progress.epoch == best + 2 < 200
    again = trainer(tmp_path / "a", Cluster())
    assert again.progress.epoch == best + 2  # the last checkpoint is of the end, and there is nothing left to do
    assert again.run()
    assert len(again.progress.history) == best + 2


def test_patience_ends_a_training_whose_last_weights_are_kept_too(table: Path, tmp_path: Path) -> None:
    mine = alone(tmp_path / "a", table, recipe="linear", options="{}", epochs=200, patience=3, learning_rate=0.01)
    assert not mine.recipe.keeps_best
    assert mine.run()
    lines = mine.progress.history
    assert 3 < len(lines) < 200
    reached, last = lines[-4], lines[-3:]
    assert {line["validation_accuracy"] for line in last} == {reached["validation_accuracy"]}
    assert min(line["validation_loss"] for line in last) > reached["validation_loss"] * (1 - 1e-4)
    assert mine.progress.best == last[-1]


@pytest.mark.parametrize("where", ["checkpoints", "model"])
def test_a_full_disk_fails_the_job_and_names_the_setting(where: str, table: Path, tmp_path: Path) -> None:
    """/dev/full is a disk that is full: the file that is written lies there."""
    mine = alone(tmp_path / "a", table, epochs=1)
    name = "epoch-00001-step-0000000.safetensors" if where == "checkpoints" else keys.MODEL_WEIGHTS
    folder = tmp_path / "a" / where
    folder.mkdir()
    (folder / f".{name}.partial").symlink_to("/dev/full")
    full = pytest.raises(TrainingFailed, match=r"the disk is full: raise train\.volume_gb = 30 .*No space left")
    with full, failures.explained(mine.config, 1):
        _to_the_end(mine)
    assert not (folder / name).exists()


def _to_the_end(mine: Trainer) -> None:
    mine.run()
    mine.write_model()


def test_out_of_memory_names_the_settings_that_need_less(table: Path, tmp_path: Path) -> None:
    config = alone(tmp_path / "a", table, batch_size=50, accumulation=2).config
    wanted = r"at about 13 rows a micro-batch: raise train\.accumulation above 2 .* lower train\.batch_size = 50"
    with pytest.raises(TrainingFailed, match=wanted), failures.explained(config, ranks=2):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(ValueError, match="something else"), failures.explained(config, ranks=2):
        raise ValueError("something else")


def test_checkpoints_that_are_all_damaged_are_an_error(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, epochs=2)
    trainer(base, Cluster()).run()
    for path in progress.checkpoints(base / "checkpoints"):
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(TrainingFailed, match=r"every checkpoint in .* is damaged \(epoch-00001.*delete them"):
        trainer(base, Cluster())


def test_a_file_that_is_no_checkpoint_is_an_error(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table)
    (base / "checkpoints").mkdir()
    save_file({"x": np.zeros(3)}, base / "checkpoints/epoch-00009-step-0000000.safetensors")
    with pytest.raises(TrainingFailed, match="not one that this program wrote"):
        trainer(base, Cluster())


def test_a_checkpoint_of_another_recipe_says_so(table: Path, images: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", images, epochs=1)
    trainer(base, Cluster()).run()
    other = training_job(tmp_path / "b", table, epochs=1)
    (base / "checkpoints").rename(other / "checkpoints")
    with pytest.raises(TrainingFailed, match=r"recipe is 'image' there and 'tabular' here"):
        trainer(other, Cluster())


def test_more_ranks_than_rows_of_a_batch_are_refused(table: Path, tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.size = 8
    with pytest.raises(InvalidConfig, match=r"train\.batch_size: 4 .* at least 8, a row for each of the ranks"):
        trainer(training_job(tmp_path / "a", table, batch_size=4), cluster)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler where there is no GPU")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own, while it is imported
def test_the_compiled_network_learns_the_same(table: Path, tmp_path: Path) -> None:
    plain, compiled = (alone(tmp_path / f"{on}", table, epochs=1, compile=on) for on in (False, True))
    assert plain.run()
    assert compiled.run()
    for key, value in plain.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[key], value, rtol=1e-4, atol=1e-5)
