"""The loops that ``ddp_step`` compares, on one rank: ``torchrun -m benchmarks.ddp_loops FOLDER ROUNDS UPDATES LOOP...``

Prints the seconds of each loop in each round, those of the slowest rank, as a line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from contract import keys
from contract.config import Train
from contract.manifest import Feature, Schema, Tensor
from contract.parsing import to_dict
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.data import LABEL, Split, Writer
from training.train import Trainer

OURS, TUNED = "tandem", "bare DDP, tuned"
UPDATES = {8: 40, 32: 10}
"""Of a loop's turn, by the images' side: a network that computes little, and one that computes much."""
ROWS, BATCH, CLASSES = 4096, 64, 10

Step = Callable[[NDArray[np.int64]], None]  # learns from one global batch


def write_job(folder: Path, side: int) -> None:
    """Make the base folder of a training job on noisy images."""
    container = Container(base=folder)
    source = np.random.default_rng(0)
    for split in ("train", "validation"):
        writer = Writer(container.channel(split), shard_bytes=2**30)
        images = source.integers(0, 256, (ROWS, side, side, 1), np.uint8)
        writer.add({"image": images, LABEL: source.integers(0, CLASSES, ROWS)})
        writer.close()
    schema = Schema(
        task="classification",
        inputs=(Tensor(name="image", dtype="uint8", shape=(-1, side, side, 1)),),
        features=(Feature(name="image", kind="image", statistics={"mean": 127.0, "std": 74.0}),),
        labels=tuple(map(str, range(CLASSES))),
        target=LABEL,
    )
    container.channel("schema").mkdir(parents=True)
    (container.channel("schema") / Path(keys.DATASET_SCHEMA).name).write_text(json.dumps(to_dict(schema)))
    config = folder / "input/config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))


def tandem(trainer: Trainer) -> Step:
    """Our own."""

    def step(rows: NDArray[np.int64]) -> None:
        trainer.update(rows)

    return step


def bare(trainer: Trainer) -> Step:
    """As PyTorch's DDP tutorial has it."""
    model = DistributedDataParallel(_network(trainer))
    return _bare(trainer, model, _optimiser(model))


def tuned(trainer: Trainer) -> Step:
    """A bare loop with every setting by which ours is faster: what is left is the price of what ours does besides."""
    network = _network(trainer).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = DistributedDataParallel(network, forward_sync_buffers=False, gradient_as_bucket_view=True)
    return _bare(trainer, model, _optimiser(model, fused=True))


def _bare(trainer: Trainer, model: nn.Module, optimiser: torch.optim.Optimizer) -> Step:
    batch = _Batches(trainer)

    def step(rows: NDArray[np.int64]) -> None:
        images, labels = batch(rows)
        optimiser.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimiser.step()

    return step


def fabric(trainer: Trainer) -> Step:
    """Lightning Fabric, as its guide to converting a loop has it."""
    from lightning_fabric import Fabric

    runtime = Fabric(accelerator="cpu", devices=dist.get_world_size(), strategy="ddp")
    runtime.launch()
    network = _network(trainer)
    model, optimiser = runtime.setup(network, _optimiser(network))
    batch = _Batches(trainer)

    def step(rows: NDArray[np.int64]) -> None:
        images, labels = batch(rows)
        optimiser.zero_grad()
        runtime.backward(functional.cross_entropy(model(images), labels))
        optimiser.step()

    return step


def accelerate(trainer: Trainer) -> Step:
    """Hugging Face Accelerate, as its quick tour has it."""
    from accelerate import Accelerator

    runtime = Accelerator(cpu=True)
    network = _network(trainer)
    model, optimiser = runtime.prepare(network, _optimiser(network))
    batch = _Batches(trainer)

    def step(rows: NDArray[np.int64]) -> None:
        images, labels = batch(rows)
        optimiser.zero_grad()
        runtime.backward(functional.cross_entropy(model(images), labels))
        optimiser.step()

    return step


LOOPS: dict[str, Callable[[Trainer], Step]] = {
    OURS: tandem,
    "bare DDP": bare,
    "Fabric": fabric,
    "Accelerate": accelerate,
    TUNED: tuned,
}


class _Batches:
    """A rank's equal share of a global batch, from the same rows as ours."""

    def __init__(self, trainer: Trainer) -> None:
        self._rows: Split = trainer.train_rows
        self._rank, self._size = dist.get_rank(), dist.get_world_size()

    def __call__(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        arrays = self._rows.take(np.array_split(rows, self._size)[self._rank])
        return torch.from_numpy(arrays["image"]), torch.from_numpy(arrays[LABEL])


def _network(trainer: Trainer) -> nn.Module:
    torch.manual_seed(0)
    return trainer.recipe.network(trainer.schema, trainer.recipe.parse_options({}))


def _optimiser(model: nn.Module, *, fused: bool | None = None) -> torch.optim.Optimizer:
    rate, decay = Train().learning_rate, Train().weight_decay
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=fused)


def measure(steps: dict[str, Step], *, rounds: int, updates: int) -> list[dict[str, float]]:
    """Return the seconds that each loop needs for its turn, a round each, after one round that is not counted."""
    order, batches = random.Random(0), np.random.default_rng(0).permutation(ROWS).reshape(-1, BATCH)
    result = []
    for _ in range(rounds + 1):
        found = {}
        for name in order.sample(sorted(steps), len(steps)):
            dist.barrier()
            started = time.perf_counter()
            for number in range(updates):
                steps[name](batches[number % len(batches)])
            slowest = torch.tensor(time.perf_counter() - started)
            dist.all_reduce(slowest, dist.ReduceOp.MAX)
            found[name] = float(slowest)
        result.append(found)
    return result[1:]


def main(arguments: Sequence[str]) -> None:
    """Measure the loops named after the folder, the rounds and the updates of a turn."""
    folder, rounds, updates, *loops = arguments
    config = TrainConfig(**{**to_dict(Train()), "batch_size": BATCH, "recipe": "image"})
    cluster = Cluster()
    with cluster.joined():
        if cluster.size == 1:
            dist.init_process_group("gloo")  # what the peers and the barriers need
        trainer = Trainer(config, Container(base=Path(folder)), cluster)
        steps = {name: LOOPS[name](trainer) for name in loops}
        result = measure(steps, rounds=int(rounds), updates=int(updates))
        if cluster.leads:
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
