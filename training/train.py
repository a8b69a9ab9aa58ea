"""Trains a recipe on all hosts of a SageMaker training job.

    python3 -m training.launch train              # what the container runs; starts torchrun on each host
    python3 -m training.train                     # one process, below SAGEMAKER_BASE_DIR

The result does not depend on the number of ranks, as far as floating-point
sums allow: an epoch is one order of all rows (training.order), a batch is a slice of it that
the ranks divide among them (training.shares), and its gradient is the sum over all its rows divided
by their number. What is kept are the weights of the best epoch by the recipe's
metric on the validation rows (the lower loss, then the later epoch, where equal).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record

from contract import metrics
from contract.errors import TrainingFailed
from contract.manifest import Schema
from training import artefact, failures, recipes, repeatable, schedule, start, strategy
from training.checkpoint import MEMORY, below, collect, restore, save_checkpoint, unpack, whole
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import STOPPED, Container
from training.data import LABEL, Split, read_schema
from training.lazy import LazyArrays
from training.progress import Progress, newest
from training.recipes import Recipe
from training.shares import Rebalancer, Shares
from training.stream import open_split
from training.watchdog import Watchdog

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
        self.start = start.find(config, container, self.recipe, read_schema(container.channel("schema")))
        self.schema: Schema = self.start.schema
        self.train_rows, self.validation_rows = (
            open_split(
                container.channel(name), input_mode=config.input_mode, memory=mb * 2**20, host=cluster.common_memory
            )
            for name, mb in (("train", config.shuffle_mb), ("validation", EVALUATION_MB))
        )
        self.validation_arrays = LazyArrays(self.validation_rows)
        schedule.check_ranks(config, ranks=cluster.size, rows=len(self.train_rows))
        repeatable.begin(config.seed)
        options = self.recipe.parse_options(config.options)
        self.model = self.recipe.network(self.schema, options)
        self.start.take_over(self.model, self.recipe, options)
        self.parallel = strategy.Parallel(self.model, config, cluster)
        self.optimiser = strategy.optimiser(self.model, config)
        self.best = _copy(self.model)
        self.balance = Rebalancer(
            Shares.of_hosts(container.hosts().in_order(config.shares, list(config.groups)), cluster.host_of_rank)
        )
        self.progress = Progress(learning=config.learning(), fingerprint=self._fingerprint())
        if self.start.note and cluster.leads:
            print(f"this model {self.start.note}", flush=True)
        self._resume()
        self._counts_before: list[int] = []  # rows of each rank in the update before
        self.steps = math.ceil(len(self.train_rows) / config.batch_size)

    def run(self) -> bool:
        """Train to the end; return False when stopped before it, after a checkpoint."""
        progress, config = self.progress, self.config
        while not schedule.is_over(progress, config, self.schema.metric):
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

        Each rank adds up the gradients of its share's micro-batches. What they tell each other of the loss travels
        while the last gradients are computed. Ranks are averaged, hence the factor ``size``.

        Raises:
            TrainingFailed: when the loss, or the gradient to be clipped, is not a number, or the loss above its limit.
        """
        cluster, parallel, counts = self.cluster, self.parallel, self.balance.shares.counts(len(rows))
        parts = self.balance.shares.micro_batches(rows, cluster.rank, self.config.accumulation)
        seconds_before = parallel.watch.seconds()
        parallel.watch.start()
        self._begin_update()
        lost = torch.zeros((), dtype=torch.float64, device=cluster.device)
        for number, (part, weight) in enumerate(parts, start=1):
            self._does("loading rows")
            inputs, labels = self._batch(self.train_rows, part)
            self._does("computing")
            last = number == len(parts)
            with parallel.exchanging(last):
                with self._autocast():
                    outputs = parallel(*inputs)
                loss = self.recipe.loss(outputs, labels, self.schema).sum() * weight
                lost += loss.detach()
                if last:
                    told = cluster.sum_later(self._telling(lost, seconds_before))
                    self._does("exchanging gradients")
                (loss * cluster.size / len(rows)).backward()
        total, stopping, *seconds = told()
        failures.check_loss(total / len(rows), self._where(), split=self.train_rows, rows=rows, config=self.config)
        if self.config.clip_norm and not math.isfinite(norm := parallel.clip(self.config.clip_norm)):
            raise TrainingFailed(f"the gradient's norm is {norm} in {self._where()}; {failures.remedy(self.config)}")
        self.optimiser.step()
        self._rebalance(seconds, counts)
        return total, stopping > 0

    def finish_epoch(self) -> None:
        """Validate, log, keep the best weights, write a checkpoint."""
        progress, config = self.progress, self.config
        loss, value = self.validate()
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the validation loss is {loss} after epoch {progress.epoch + 1}; {failures.remedy(config)}"
            )
        metric, rows = self.schema.metric, len(self.train_rows)
        line = schedule.line(progress, rows=rows, loss=loss, metric=metric, value=value)
        progress.history.append(line)
        if not (progress.best and self.recipe.keeps_best) or schedule.is_better(line, progress.best, metric):
            progress.best, self.best = line, _copy(self.model)
        progress.epoch, progress.step, progress.loss_sum, progress.seconds = progress.epoch + 1, 0, 0.0, 0.0
        if self.cluster.leads:
            print(metrics.line(line), flush=True)
            if config.shares or config.rebalance:
                print("lambda=" + ",".join(f"{weight:.4f}" for weight in self.balance.shares.weights), flush=True)
        if progress.epoch % config.checkpoint_every == 0 or schedule.is_over(progress, config, metric):
            self._checkpoint()

    def validate(self) -> tuple[float, float]:
        """Return the mean loss and the schema's metric over the validation rows; all ranks share the work."""
        cluster, total, answers = self.cluster, 0.0, []
        self.model.eval()
        with torch.no_grad():
            for rows in _batches(len(self.validation_rows), EVALUATION_BATCH):
                self._does("validating")
                part, weight = self.balance.shares.part(rows, cluster.rank)
                inputs, labels = self._batch(self.validation_rows, part)
                with self._autocast():
                    outputs = self.model(*inputs)
                total += float(self.recipe.loss(outputs, labels, self.schema).sum()) * weight
                answer = self.recipe.answer(outputs, self.schema)
                answers.append(cluster.gather(answer, self.balance.shares.counts(len(rows))).cpu().numpy())
        self.model.train()
        values = self.recipe.metrics(np.concatenate(answers), self.validation_arrays, self.schema)
        return cluster.sum(total)[0] / len(self.validation_rows), values[self.schema.metric]

    def write_model(self) -> None:
        """Write what becomes model.tar.gz: the best weights, the manifest, the history. All ranks must call it."""
        self._does("writing the model")
        best = whole(self.best)
        if not self.cluster.leads:
            return
        ranks, device = str(self.cluster.size), self.cluster.device.type
        lineage = {"ranks": ranks, "device": device, "torch": torch.__version__, **self.start.lineage}
        made = artefact.manifest(self.config, self.schema, self.progress, **lineage)
        artefact.write(self.container.model, best, made, self.progress)

    def _fingerprint(self) -> str:
        """Return what tells this dataset and network from others."""
        shapes = {name: list(value.shape) for name, value in self.model.state_dict().items()}
        return json.dumps([len(self.train_rows), len(self.validation_rows), list(self.schema.labels), shapes])

    def _resume(self) -> None:
        content = self.cluster.share(newest(self.container.checkpoints) if self.cluster.leads else b"")
        if not content:
            return
        progress, tensors = unpack(content)
        schedule.check_resumable(progress, self.progress, self.container.checkpoints)
        self.best = restore(tensors, self.model, self.optimiser)
        self.progress = progress
        if len(progress.shares) == self.cluster.size:
            self.balance = Rebalancer(Shares.of(progress.shares))
        remembered = self.parallel.remember(below(tensors, MEMORY))
        if self.cluster.leads:
            print(f"resuming from epoch {progress.epoch + 1}, step {progress.step + 1}", flush=True)
            if not remembered:
                print("powersgd starts afresh: what it remembers is of another number of ranks", flush=True)

    def _checkpoint(self) -> None:
        self._does("writing a checkpoint")
        self.progress.shares = list(self.balance.shares.weights) if self.config.rebalance else []
        tensors = collect(self.model, self.best, self.optimiser, self.parallel)
        if self.cluster.leads:
            save_checkpoint(self.container.checkpoints, self.progress, tensors)

    def _batch(self, split: Split, rows: NDArray[np.int64]) -> tuple[list[torch.Tensor], torch.Tensor]:
        arrays = {name: torch.from_numpy(array).to(self.cluster.device) for name, array in split.take(rows).items()}
        return [arrays[tensor.name] for tensor in self.schema.inputs], arrays[LABEL]

    def _begin_update(self) -> None:
        """Set the learning rate and the seed, and forget the last gradient."""
        number = self.progress.epoch * self.steps + self.progress.step
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.learning_rate(self.progress, self.config, self.steps)
        repeatable.seed_update(self.cluster, seed=self.config.seed, number=number)
        self.optimiser.zero_grad(set_to_none=True)

    def _telling(self, lost: torch.Tensor, seconds: float) -> torch.Tensor:
        """Return what is summed over the ranks: loss, wishes to stop, seconds that each needed for the last update."""
        others = [float(self.cluster.stopping), *self.cluster.in_place(seconds)]
        return torch.cat([lost[None], torch.tensor(others, dtype=torch.float64, device=lost.device)])

    def _rebalance(self, seconds: list[float], counts: list[int]) -> None:
        if self.config.rebalance and self._counts_before:
            self.balance.note(seconds, self._counts_before)
        self._counts_before = counts

    def _does(self, phase: str) -> None:
        self.cluster.does(phase, epoch=self.progress.epoch + 1, step=self.progress.step + 1)

    def _where(self) -> str:
        return f"epoch {self.progress.epoch + 1}, step {self.progress.step + 1} of {self.steps}"

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.cluster.device.type == "cuda" and self.config.precision == "bf16":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


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
    hosts = container.hosts()
    cluster.check_gpus(hosts.instance)
    with (
        cluster.joined(),
        Watchdog(cluster, host=hosts.current, seconds=config.rank_timeout_seconds),
        failures.explained(config, cluster.size),
    ):
        trainer = Trainer(config, container, cluster)
        finished = trainer.run()
        if finished:
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
