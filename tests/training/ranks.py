"""Many cases in one set of real ranks: starting a rank costs seconds, a case of a small table a tenth of one.

    RANK=0 WORLD_SIZE=2 ... python -m tests.training.ranks FOLDER

runs every case of FOLDER/cases.json; a case's base folder is FOLDER/<name>, where rank 0 leaves what came of it.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.training.builders import start, training_job
from training.checkpoint import whole
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.train import Trainer

RESULT = "result.safetensors"


def run_cases(
    folder: Path, data: Path, cases: Mapping[str, Mapping[str, Any]], *, size: int, champion: Path | None = None,
    one_host: bool = False,
) -> None:  # fmt: skip
    """Run cases over ``size`` ranks, each a host of its own, unless all are on ``one_host``.

    Args:
        folder: for all files.
        data: what preparation left.
        cases: by name: ``do`` (a function below), ``settings``, and what else the function takes.
        size: number of ranks.
        champion: archive of the version in service, which every case is given.
    """
    hosts = [f"algo-{number + 1}" for number in range(1 if one_host else size)]
    for name, case in cases.items():
        base = training_job(folder / name, data, hosts=hosts, **case.get("settings", {}))
        if champion:
            channel = Container(base=base).channel("champion")
            channel.mkdir()
            shutil.copy(champion, channel)
    (folder / "cases.json").write_text(json.dumps(cases))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size), "LOCAL_RANK": "0"}
    program = ("-m", "tests.training.ranks", str(folder))
    processes = [
        start(folder, *program, RANK=str(rank), GROUP_RANK="0" if one_host else str(rank), **meeting)
        for rank in range(size)
    ]
    outputs = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, "\n".join(outputs)


def result(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Return what a case left."""
    return load_file(folder / name / RESULT)


def trainer(base: Path, cluster: Cluster, **changed: Any) -> Trainer:
    """Return a trainer of one case."""
    container = Container(base=base)
    strings = container.hyperparameters() | {name: json.dumps(value) for name, value in changed.items()}
    return Trainer(TrainConfig.from_hyperparameters(strings), container, cluster)


def gradient(mine: Trainer, case: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The gradient of one batch: its first ``rows`` rows."""
    mine.update(np.arange(case["rows"]))
    return {name: value.grad for name, value in mine.model.named_parameters() if value.grad is not None}


def training(mine: Trainer, case: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights after a whole training, the best ones, and the history."""
    assert mine.run()
    mine.write_model()
    return _reached(mine)


def interrupted(mine: Trainer, case: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The same of a training that the last rank is asked to stop in update ``stop`` and that another trainer ends."""
    update, calls = mine.update, 0

    def stopping(rows: Any) -> tuple[float, bool]:
        nonlocal calls
        calls += 1
        mine.cluster.stopping = calls == case["stop"] and mine.cluster.rank == mine.cluster.size - 1
        return update(rows)

    mine.update = stopping  # type: ignore[method-assign]
    assert not mine.run()
    mine.cluster.stopping = False
    torch.manual_seed(99)  # nothing of this process may matter
    second = trainer(mine.container.base, mine.cluster)
    assert second.progress.step == case["stop"] % second.steps
    return training(second, case)


def _reached(mine: Trainer) -> dict[str, torch.Tensor]:
    names = ("train_loss", "validation_loss", f"validation_{mine.schema.metric}")
    history = [[line[name] for name in names] for line in mine.progress.history]
    return {
        **mine.model.state_dict(),
        **{f"best.{name}": value for name, value in mine.best.items()},
        "history": torch.tensor(history, dtype=torch.float64),
        "shares": torch.tensor(mine.balance.shares.weights),
    }


DO: dict[str, Callable[[Trainer, Mapping[str, Any]], dict[str, torch.Tensor]]] = {
    "gradient": gradient,
    "training": training,
    "interrupted": interrupted,
}


def main(folder: Path) -> None:
    """Run the cases as one rank."""
    torch.set_num_threads(1)
    cases = json.loads((folder / "cases.json").read_text())
    cluster = Cluster()
    with cluster.joined():
        for name, case in cases.items():
            tensors = whole(DO[case["do"]](trainer(folder / name, cluster), case))
            if cluster.leads:
                save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name / RESULT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
