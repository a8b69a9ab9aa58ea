"""GPUs that cannot be had here: what happens before the first of them is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contract.errors import TrainingFailed
from training import cluster, launch
from training.cluster import Cluster
from training.container import Hosts


def test_the_cpu_of_a_gpu_machine_does_not_stand_in_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "gpus", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", "13.3")
    alone = Cluster()
    alone.check_gpus("ml.m5.large")
    monkeypatch.setattr(alone, "device", torch.device("cpu"))
    with pytest.raises(TrainingFailed, match=r"cannot use the GPUs of this ml\.g5\.xlarge"):
        alone.check_gpus("ml.g5.xlarge")


def test_a_laptop_stands_in_for_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "gpus", lambda: 0)
    Cluster().check_gpus("ml.g5.xlarge")


def test_ranks_start_with_the_libraries_that_the_hosts_driver_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "start_cuda_compat.sh"
    script.write_text("echo told; export LD_LIBRARY_PATH=/compat:$LD_LIBRARY_PATH\n")
    monkeypatch.setattr(launch, "CUDA_COMPAT", script)
    monkeypatch.setattr(launch, "gpus", lambda: 4)
    command = launch._torchrun(Hosts(current="algo-1", all=("algo-1",)), {})
    start = command[: command.index(sys.executable)]
    assert "--nproc-per-node=4" in command
    done = subprocess.run(
        [*start, "printenv", "LD_LIBRARY_PATH"], env={"LD_LIBRARY_PATH": "/own"}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("/compat:/own\n", "told\n")
    monkeypatch.setattr(launch, "gpus", lambda: 0)
    assert launch._torchrun(Hosts(current="algo-1", all=("algo-1",)), {})[0] == sys.executable
