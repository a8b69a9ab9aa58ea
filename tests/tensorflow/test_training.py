"""Keras jobs in real processes: as many hosts and devices as there are learn the same, and go on where they stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load

from contract import metrics
from tests.training.builders import start, training_job
from training import launch, progress

HOSTS = ("127.0.0.1", "127.0.0.2")
LAUNCH = ("-m", "training.launch", "train")

DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from training.config import TrainConfig
from training.container import Container
from training.keras.cluster import Cluster
from training.keras.train import Trainer

container = Container.here()
config = TrainConfig.from_hyperparameters(container.hyperparameters())
cluster = Cluster(timeout=60, devices=["CPU:0", "CPU:1"])
assert cluster.size == 2
Trainer(config, container, cluster).run()
"""


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return outputs


def two_hosts(folder: Path, out: Path, job: str, **settings: Any) -> list[Path]:
    return [training_job(folder / host, out, host=host, hosts=HOSTS, **settings) for host in HOSTS]


def start_all(bases: list[Path], job: str) -> list[subprocess.Popen[str]]:
    return [start(base, *LAUNCH, TRAINING_JOB_NAME=job) for base in bases]


def reached(base: Path) -> tuple[progress.Progress, dict[str, np.ndarray]]:
    content = progress.newest(base / "checkpoints")
    return progress.read_progress(content), load(content)


def lasting(line: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name not in ("seconds", "samples_per_second")}


def assert_same_training(one: Path, other: Path) -> None:
    (mine, tensors), (theirs, others) = reached(one), reached(other)
    assert tensors.keys() == others.keys()
    for name, value in tensors.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    for line, again in zip(mine.history, theirs.history, strict=True):
        assert lasting(again) == pytest.approx(lasting(line), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{}, {"clip_norm": 0.05}, {"optimiser": "sgd", "momentum": 0.9}],
    ids=["adamw", "clipped", "sgd"],
)
def test_hosts_and_devices_learn_what_one_learns(table: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {"epochs": 3, "batch_size": 51, "learning_rate": 0.01, **settings}  # an odd batch, and a short last one
    alone = training_job(tmp_path / "alone", table, **settings)
    log = finish(start(alone, *LAUNCH))[0]
    lines = [line for line in log.splitlines() if line.startswith("epoch=")]
    assert [metrics.parse_line(line)["epoch"] for line in lines] == [1, 2, 3]
    devices = training_job(tmp_path / "devices", table, **settings)
    finish(start(devices, "-c", DEVICES))
    assert_same_training(alone, devices)
    hosts = two_hosts(tmp_path, table, "same", **settings)
    logs = finish(*start_all(hosts, f"same-{tmp_path.name}"))
    assert "epoch=" in logs[0]
    assert "epoch=" not in logs[1]  # one host logs and writes
    assert_same_training(alone, hosts[0])
    assert not progress.newest(hosts[1] / "checkpoints")


def test_a_stopped_job_goes_on_to_the_same_weights(table: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 60, "batch_size": 8, "checkpoint_every": 1000}
    whole = training_job(tmp_path / "whole", table, **settings)
    finish(start(whole, *LAUNCH))
    bases = [training_job(tmp_path / "stopped", table, **settings)]
    process = start(bases[0], *LAUNCH)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch=2 "):
            break
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 143, rest
    assert "stopped by SIGTERM" in rest
    assert 2 <= reached(bases[0])[0].epoch < 60
    assert not (bases[0] / "model/weights.safetensors").exists()
    assert "resuming from epoch" in finish(start(bases[0], *LAUNCH))[0]
    (_, expected), (_, tensors) = reached(whole), reached(bases[0])
    assert {name for name, value in expected.items() if not np.array_equal(tensors[name], value)} == set()
    assert (bases[0] / "model/weights.safetensors").read_bytes() == (whole / "model/weights.safetensors").read_bytes()


def test_a_host_that_dies_ends_the_job_in_seconds(table: Path, tmp_path: Path) -> None:
    bases = two_hosts(tmp_path, table, "dead", epochs=5000)
    processes = start_all(bases, f"dead-{tmp_path.name}")
    assert processes[0].stdout is not None
    for line in processes[0].stdout:
        if line.startswith("epoch=2 "):
            break
    for child in psutil.Process(processes[1].pid).children():
        child.kill()
    killed, since = processes[1].communicate(timeout=60)[0], time.monotonic()
    processes[0].communicate(timeout=60)
    assert time.monotonic() - since < 40
    assert [process.returncode for process in processes] == [1, 1], killed
    assert (bases[0] / "output/failure").read_text().startswith(launch.LOST_PEER_NOTE)


def test_a_loss_above_the_limit_ends_the_job_with_its_reason(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "job", table, max_loss=1e-6)
    process = start(base, *LAUNCH)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1, output
    failure = (base / "output/failure").read_text()
    assert "in epoch 1, step 1 of" in failure
    assert len(failure) <= launch.FAILURE_LIMIT


def test_training_ends_when_it_gets_no_better(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "job", table, epochs=200, patience=2, learning_rate=1e-8)
    finish(start(base, *LAUNCH))
    history = [json.loads(line) for line in (base / "model/metrics.jsonl").read_text().splitlines()]
    best = json.loads((base / "model/manifest.json").read_text())["lineage"]["best_epoch"]
    assert len(history) == int(best) + 2 < 200


def test_another_dataset_does_not_go_on_from_this_checkpoint(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "job", table, epochs=1)
    finish(start(base, *LAUNCH))
    config = base / "input/config/hyperparameters.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"learning_rate": "0.5"}))
    process = start(base, *LAUNCH)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is of other settings or other data" in (base / "output/failure").read_text()
