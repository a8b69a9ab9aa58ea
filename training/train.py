"""Trains a recipe on all hosts of a SageMaker training job.

    python3 -m training.launch train              # what the container runs; starts torchrun on each host
    python3 -m training.train                     # one process, below SAGEMAKER_BASE_DIR

The result does not depend on the number of ranks, as far as floating-point
sums allow: an epoch is one order of all rows (training.order), a batch is a slice of it that
the ranks divide among them, and its gradient is the sum over all its rows divided
by their number. What is kept are the weights of the best epoch by the recipe's
metric on the validation rows (the lower loss, then the later epoch, where equal).
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel

from contract import keys, metrics
from contract.errors import TrainingFailed
from contract.manifest import FORMAT, ModelManifest, Schema
from training import recipes
from training.checkpoint import restore, save_checkpoint, unpack
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import STOPPED, Container
from training.data import LABEL, Split, read_schema
from training.lazy import LazyArrays
from training.progress import Progress, newest, write_atomically
from training.recipes import Recipe
from training.stream import open_split

WARM_UP = 0.1  # share of all updates in which the learning rate rises
EVALUATION_BATCH = 1024
EVALUATION_MB = 64  # of validation rows that a stream holds


class Trainer:
    """One training job on one rank.

    Args:
        config: what to do.
        container: where things are.
        cluster: the ranks, already joined.
    """

    def __init__(self, config: TrainConfig, container: Container, cluster: Cluster) -> None:
        self.config, self.container, self.cluster = config, container, cluster
        self.recipe: Recipe = recipes.load(config.recipe)
        self.schema: Schema = read_schema(container.channel("schema"))
        self.train_rows, self.validation_rows = (
            open_split(container.channel(name), input_mode=config.input_mode, memory=mb * 2**20)
            for name, mb in (("train", config.shuffle_mb), ("validation", EVALUATION_MB))
        )
        self.validation_arrays = LazyArrays(self.validation_rows)
        torch.manual_seed(config.seed)
        # Where CUDA has only an inexact kernel (max pooling backwards), that is used, with a warning.
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.allow_tf32 = False  # fp32 says what it is; PyTorch would round convolutions to TF32
        options = self.recipe.parse_options(config.options)
        self.model = self.recipe.network(self.schema, options).to(cluster.device)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.best = _copy(self.model)
        self.progress = Progress(learning=config.learning(), fingerprint=self._fingerprint())
        self._resume()
        self.parallel: nn.Module = (
            DistributedDataParallel(self.model, forward_sync_buffers=False) if cluster.size > 1 else self.model
        )
        self.steps = math.ceil(len(self.train_rows) / config.batch_size)

    def run(self) -> bool:
        """Train to the end; return False when stopped before it, after a checkpoint."""
        progress, config = self.progress, self.config
        while progress.epoch < config.epochs:
            order = self.train_rows.order(seed=config.seed, epoch=progress.epoch)
            for step in range(progress.step, self.steps):
                started = time.perf_counter()
                loss, stopping = self.update(order[step * config.batch_size : (step + 1) * config.batch_size])
                progress.seconds += time.perf_counter() - started
                progress.loss_sum += loss
                progress.step = step + 1
                if stopping:
                    self._checkpoint()
                    return False
            self.finish_epoch()
        return True

    def update(self, rows: NDArray[np.int64]) -> tuple[float, bool]:
        """Learn from one global batch; return the sum of its losses and whether any rank shall stop.

        Every rank takes an equal share, padded with rows of weight 0. DDP
        averages gradients over ranks, hence the factor ``size``.

        Raises:
            TrainingFailed: when the loss is not a number.
        """
        mine, weights = share(rows, self.cluster.rank, self.cluster.size)
        inputs, labels = self._batch(self.train_rows, mine)
        self._set_learning_rate()
        with self._autocast():
            outputs = self.parallel(*inputs)
        losses = self.recipe.loss(outputs, labels, self.schema)
        loss = (losses * torch.from_numpy(weights).to(self.cluster.device)).sum()
        self.optimiser.zero_grad(set_to_none=True)
        (loss * self.cluster.size / len(rows)).backward()
        total, stopping = self.cluster.sum(loss.item(), float(self.cluster.stopping))
        if not math.isfinite(total):
            raise TrainingFailed(
                f"the loss is {total} in epoch {self.progress.epoch + 1}, "
                f"step {self.progress.step + 1} of {self.steps}; "
                f"try a train.learning_rate below {self.config.learning_rate:g}"
            )
        self.optimiser.step()
        return total, stopping > 0

    def finish_epoch(self) -> None:
        """Validate, log, keep the best weights, write a checkpoint."""
        progress = self.progress
        loss, value = self.validate()
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the validation loss is {loss} after epoch {progress.epoch + 1}; "
                f"try a train.learning_rate below {self.config.learning_rate:g}"
            )
        line = {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss_sum / len(self.train_rows),
            "validation_loss": loss,
            f"validation_{self.schema.metric}": value,
            "samples_per_second": len(self.train_rows) / progress.seconds,
            "seconds": progress.seconds,
        }
        progress.history.append(line)
        if self._is_best(line):
            progress.best, self.best = line, _copy(self.model)
        progress.epoch, progress.step, progress.loss_sum, progress.seconds = progress.epoch + 1, 0, 0.0, 0.0
        if self.cluster.leads:
            print(metrics.line(line), flush=True)
        if progress.epoch % self.config.checkpoint_every == 0 or progress.epoch == self.config.epochs:
            self._checkpoint()

    def validate(self) -> tuple[float, float]:
        """Return the mean loss and the schema's metric over the validation rows; all ranks share the work."""
        total, answers = 0.0, []
        self.model.eval()
        with torch.no_grad():
            for rows in _batches(len(self.validation_rows), EVALUATION_BATCH):
                mine, weights = share(rows, self.cluster.rank, self.cluster.size)
                inputs, labels = self._batch(self.validation_rows, mine)
                with self._autocast():
                    outputs = self.model(*inputs)
                total += float((self.recipe.loss(outputs, labels, self.schema).cpu() * torch.from_numpy(weights)).sum())
                gathered = self.cluster.gather(self.recipe.answer(outputs, self.schema))
                answers.append(gathered.cpu().numpy()[: len(rows)])
        self.model.train()
        values = self.recipe.metrics(np.concatenate(answers), self.validation_arrays, self.schema)
        return self.cluster.sum(total)[0] / len(self.validation_rows), values[self.schema.metric]

    def write_model(self) -> None:
        """Write what becomes model.tar.gz: the best weights, the manifest, the history."""
        folder = self.container.model
        folder.mkdir(parents=True, exist_ok=True)
        history = "".join(json.dumps(line) + "\n" for line in self.progress.history)
        write_atomically(folder / keys.MODEL_METRICS, history.encode())
        write_atomically(folder / keys.MODEL_MANIFEST, json.dumps(self._manifest().to_dict()).encode())
        write_atomically(folder / keys.MODEL_WEIGHTS, save({k: v.cpu().contiguous() for k, v in self.best.items()}))

    def _manifest(self) -> ModelManifest:
        return ModelManifest(
            format=FORMAT,
            tenant="",  # a training job is not told whose it is; Evaluate fills these in
            project="",
            run="",
            recipe=self.config.recipe,
            options=self.config.options,
            schema=self.schema,
            lineage={
                "seed": str(self.config.seed),
                "best_epoch": str(int(self.progress.best["epoch"])),
                "ranks": str(self.cluster.size),
                "device": self.cluster.device.type,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        )

    def _fingerprint(self) -> str:
        """Return what tells this dataset and network from others."""
        shapes = {name: list(value.shape) for name, value in self.model.state_dict().items()}
        return json.dumps([len(self.train_rows), len(self.validation_rows), list(self.schema.labels), shapes])

    def _resume(self) -> None:
        content = self.cluster.share(newest(self.container.checkpoints) if self.cluster.leads else b"")
        if not content:
            return
        progress, tensors = unpack(content)
        if (progress.learning, progress.fingerprint) != (self.progress.learning, self.progress.fingerprint):
            raise TrainingFailed(f"the checkpoint in {self.container.checkpoints} is of other settings or other data")
        self.best = restore(tensors, self.model, self.optimiser)
        self.progress = progress
        if self.cluster.leads:
            print(f"resuming from epoch {progress.epoch + 1}, step {progress.step + 1}", flush=True)

    def _checkpoint(self) -> None:
        if self.cluster.leads:
            save_checkpoint(self.container.checkpoints, self.progress, self.model, self.best, self.optimiser)

    def _is_best(self, line: dict[str, float]) -> bool:
        if not self.progress.best:
            return True
        name = f"validation_{self.schema.metric}"
        sign = 1 if metrics.METRICS[self.schema.metric].higher_is_better else -1
        mine, best = (
            (sign * entry[name], -entry["validation_loss"], entry["epoch"]) for entry in (line, self.progress.best)
        )
        return mine > best

    def _batch(self, split: Split, rows: NDArray[np.int64]) -> tuple[list[torch.Tensor], torch.Tensor]:
        arrays = {name: torch.from_numpy(array).to(self.cluster.device) for name, array in split.take(rows).items()}
        return [arrays[tensor.name] for tensor in self.schema.inputs], arrays[LABEL]

    def _set_learning_rate(self) -> None:
        """Rise linearly over the first tenth of all updates, then fall along a cosine to 0."""
        done = (self.progress.epoch * self.steps + self.progress.step + 1) / (self.config.epochs * self.steps + 1)
        factor = done / WARM_UP if done < WARM_UP else (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.cluster.device.type == "cuda" and self.config.precision == "bf16":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


def share(rows: NDArray[np.int64], rank: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return one rank's part of a batch and its weights: equal parts, padded with rows of weight 0."""
    each = math.ceil(len(rows) / size)
    mine = rows[rank * each : (rank + 1) * each]
    padding = np.full(each - len(mine), rows[0])
    weights = np.concatenate([np.ones(len(mine)), np.zeros(len(padding))]).astype(np.float32)
    return np.concatenate([mine, padding]).astype(np.int64), weights


def _batches(rows: int, size: int) -> Iterator[NDArray[np.int64]]:
    for first in range(0, rows, size):
        yield np.arange(first, min(first + size, rows))


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@record
def main() -> None:
    """Train; exits with 143 when stopped by SIGTERM."""
    container, cluster = Container.here(), Cluster()
    config = TrainConfig.from_hyperparameters(container.hyperparameters())
    cluster.check_gpus(container.hosts().instance)
    with cluster.joined():
        trainer = Trainer(config, container, cluster)
        finished = trainer.run()
        if finished and cluster.leads:
            trainer.write_model()
    if not finished:
        print("stopped by SIGTERM; the checkpoint is written", flush=True)
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
    # All is written. Threads of torch's process groups can abort a loaded machine's interpreter while it is torn down
    # ("terminate called without an active exception"), which would fail a run that has its model.
    sys.stdout.flush()
    os._exit(0)
