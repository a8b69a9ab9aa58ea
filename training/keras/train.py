"""Trains a Keras recipe on all hosts of a SageMaker training job.

    python3 -m training.launch train              # what the container runs; starts this on each host
    python3 -m training.keras.train               # one process, below SAGEMAKER_BASE_DIR

The same job as :mod:`training.train`, in TensorFlow: the same settings, order of rows,
log lines, checkpoints and archive. The result does not depend on the number of replicas, as far
as floating-point sums allow: each batch is a slice of one order of all rows that the
replicas divide among them, and its gradient is the sum over all its rows divided by their number.

What else is in the archive: ``model.onnx``, ``saved_model/``, ``model.tflite`` (:mod:`training.keras.export`).
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contract import frameworks, keys, metrics
from contract.errors import TrainingFailed
from contract.manifest import FORMAT, ModelManifest, Schema
from training import failures, recipes, schedule
from training.config import TrainConfig
from training.container import STOPPED, Container
from training.data import LABEL, read_schema
from training.keras import checkpoint, export
from training.keras.cluster import SUM, Cluster
from training.lazy import LazyArrays
from training.progress import Progress, newest, read_progress, write_atomically
from training.recipes import Recipe
from training.stream import open_split

EVALUATION_BATCH = 1024
EVALUATION_MB = 64  # of validation rows that a stream holds
WEIGHT = "weight"  # beside the arrays of a batch: 1, or 0 for rows that only fill up a replica's part


class Trainer:
    """One training job on one host.

    Args:
        config: what to do.
        container: where things are.
        cluster: the replicas.
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
        schedule.check_ranks(config, ranks=cluster.size, rows=len(self.train_rows))
        keras.utils.set_random_seed(config.seed)
        half = config.precision == "bf16" and cluster.device == "gpu"
        keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
        with cluster.strategy.scope():
            self.model: keras.Model = _network(self.recipe, self.schema, config)
            self.optimiser = _optimiser(config)
            self.optimiser.build(self.model.trainable_variables)
        self.best = checkpoint.tensors(self.model.variables)
        self.progress = Progress(learning=config.learning(), fingerprint=self._fingerprint())
        self._resume()
        self.steps = math.ceil(len(self.train_rows) / config.batch_size)
        self._update, self._predict = tf.function(self._update_on_replicas), tf.function(self._predict_on_replicas)

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
        """Learn from one global batch; return the sum of its losses and whether any host shall stop.

        Raises:
            TrainingFailed: when the loss is not a number, or above max_loss.
        """
        self.optimiser.learning_rate = schedule.learning_rate(self.progress, self.config, self.steps)
        batch = self.cluster.scatter(lambda replica, size: share(self.train_rows.take(rows), replica, size))
        sums = self._update(batch, tf.constant(len(rows), tf.float32), tf.constant(float(self.cluster.stopping)))
        total, stopping = sums.numpy().tolist()
        failures.check_loss(total / len(rows), self._where(), split=self.train_rows, rows=rows, config=self.config)
        return total, stopping > 0

    def _update_on_replicas(self, batch: Any, rows: tf.Tensor, stopping: tf.Tensor) -> tf.Tensor:
        """Return the sums of the losses and of the wishes to stop, over all replicas; for tf.function."""
        variables = self.model.trainable_variables

        def learn(part: dict[str, tf.Tensor]) -> tf.Tensor:
            with tf.GradientTape() as tape:
                outputs = self.model(self._inputs(part), training=True)
                loss = tf.reduce_sum(self.recipe.loss(outputs, part[LABEL], self.schema) * part[WEIGHT])
                mean = loss / rows
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(mean, variables)]
            self.optimiser.apply(self._shortened(gradients), variables)  # which sums over the replicas
            return _sum_of_replicas(tf.stack([loss, stopping]))

        return self.cluster.on_replicas(learn, batch)

    def _shortened(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return parts of gradients whose sum is at most clip_norm long, with sgd's weight decay."""
        size, config = self.cluster.size, self.config
        if config.clip_norm:
            whole, _ = tf.clip_by_global_norm(_sum_of_replicas(gradients), config.clip_norm)
            gradients = [gradient / size for gradient in whole]
        if config.optimiser == "sgd":
            decay = config.weight_decay / size
            weights = self.model.trainable_variables
            gradients = [gradient + decay * weight for gradient, weight in zip(gradients, weights, strict=True)]
        return gradients

    def finish_epoch(self) -> None:
        """Validate, log, keep the best weights, write a checkpoint."""
        progress = self.progress
        loss, value = self.validate()
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the validation loss is {loss} after epoch {progress.epoch + 1}; {failures.remedy(self.config)}"
            )
        metric, rows = self.schema.metric, len(self.train_rows)
        line = schedule.line(progress, rows=rows, loss=loss, metric=metric, value=value)
        progress.history.append(line)
        if not (progress.best and self.recipe.keeps_best) or schedule.is_better(line, progress.best, metric):
            progress.best, self.best = line, checkpoint.tensors(self.model.variables)
        progress.epoch, progress.step, progress.loss_sum, progress.seconds = progress.epoch + 1, 0, 0.0, 0.0
        if self.cluster.leads:
            print(metrics.line(line), flush=True)
        if progress.epoch % self.config.checkpoint_every == 0 or schedule.is_over(progress, self.config, metric):
            self._checkpoint()

    def validate(self) -> tuple[float, float]:
        """Return the mean loss and the schema's metric over the validation rows; all replicas share the work."""
        total, answers = 0.0, []
        for rows in _batches(len(self.validation_rows), EVALUATION_BATCH):
            arrays = self.validation_rows.take(rows)
            loss, answered = self._predict(self.cluster.scatter(lambda *place, all=arrays: share(all, *place)))
            total += float(loss)
            answers.append(answered.numpy()[: len(rows)])
        values = self.recipe.metrics(np.concatenate(answers), self.validation_arrays, self.schema)
        return total / len(self.validation_rows), values[self.schema.metric]

    def _predict_on_replicas(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the sum of the losses and the answers, replica after replica; for tf.function."""

        def predict(part: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = self.model(self._inputs(part), training=False)
            loss = tf.reduce_sum(self.recipe.loss(outputs, part[LABEL], self.schema) * part[WEIGHT])
            answers = tf.distribute.get_replica_context().all_gather(self.recipe.answer(outputs, self.schema), axis=0)
            return _sum_of_replicas(loss), answers

        return self.cluster.on_replicas(predict, batch)

    def write_model(self) -> None:
        """Write what becomes model.tar.gz: the best weights, the forms made of them, the manifest, the history."""
        folder = self.container.model
        folder.mkdir(parents=True, exist_ok=True)
        keras.config.set_dtype_policy("float32")
        network = _network(self.recipe, self.schema, self.config)
        checkpoint.assign(network.variables, self.best)
        some = self.validation_rows.take(np.arange(min(export.REFERENCE_ROWS, len(self.validation_rows))))
        parity = export.write(folder, network, self.recipe, self.schema, some)
        history = "".join(json.dumps(line) + "\n" for line in self.progress.history)
        manifest = self._manifest({f"parity_{form}": f"{value:.3g}" for form, value in parity.items()})
        write_atomically(folder / keys.MODEL_METRICS, history.encode())
        write_atomically(folder / keys.MODEL_MANIFEST, json.dumps(manifest.to_dict()).encode())
        write_atomically(folder / keys.MODEL_WEIGHTS, checkpoint.pack(self.best))

    def _manifest(self, parity: dict[str, str]) -> ModelManifest:
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
                "device": self.cluster.device,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "python": platform.python_version(),
                **parity,
            },
            files=export.digests(self.container.model),
        )

    def _fingerprint(self) -> str:
        """Return what tells this dataset and network from others."""
        shapes = {variable.path: list(variable.shape) for variable in self.model.variables}
        return json.dumps([len(self.train_rows), len(self.validation_rows), list(self.schema.labels), shapes])

    def _resume(self) -> None:
        content = self.cluster.share(newest(self.container.checkpoints) if self.cluster.leads else b"")
        if not content:
            return
        progress = read_progress(content)
        schedule.check_resumable(progress, self.progress, self.container.checkpoints)
        self.best = checkpoint.restore(content, self.model, self.optimiser)
        self.progress = progress
        if self.cluster.leads:
            print(f"resuming from epoch {progress.epoch + 1}, step {progress.step + 1}", flush=True)

    def _checkpoint(self) -> None:
        if self.cluster.leads:
            folder = self.container.checkpoints
            checkpoint.save_checkpoint(folder, self.progress, self.model, self.best, self.optimiser)

    def _where(self) -> str:
        return f"epoch {self.progress.epoch + 1}, step {self.progress.step + 1} of {self.steps}"

    def _inputs(self, part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {tensor.name: part[tensor.name] for tensor in self.schema.inputs}


def _network(recipe: Recipe, schema: Schema, config: TrainConfig) -> keras.Model:
    network: Any = recipe.network(schema, recipe.parse_options(config.options))
    return network


def _optimiser(config: TrainConfig) -> keras.Optimizer:
    """Return torch's optimiser of that name in Keras; sgd's weight decay is not Keras's (see ``_shortened``)."""
    if config.optimiser == "sgd":
        return keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)
    return keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, epsilon=1e-8)


def _sum_of_replicas(values: Any) -> Any:
    return tf.distribute.get_replica_context().all_reduce(SUM, values)


def share(arrays: dict[str, NDArray], replica: int, size: int) -> dict[str, NDArray]:
    """Return one replica's part of a batch: equal parts, filled up with rows of weight 0."""
    rows = len(arrays[LABEL])
    each = math.ceil(rows / size)
    mine = np.arange(replica * each, (replica + 1) * each)
    part = {name: array[np.where(mine < rows, mine, 0)] for name, array in arrays.items()}
    return {**part, WEIGHT: (mine < rows).astype(np.float32)}


def _batches(rows: int, size: int) -> Iterator[NDArray[np.int64]]:
    for first in range(0, rows, size):
        yield np.arange(first, min(first + size, rows))


def main() -> None:
    """Train; exits with 143 when stopped by SIGTERM."""
    container = Container.here()
    config = TrainConfig.from_hyperparameters(container.hyperparameters())
    frameworks.check(config, recipes.load(config.recipe).framework)
    cluster = Cluster(timeout=config.rank_timeout_seconds)
    cluster.check_gpus(container.hosts().instance)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # fp32 says what it is
    trainer = Trainer(config, container, cluster)
    finished = trainer.run()
    if finished and cluster.leads:
        trainer.write_model()
    cluster.meet()
    if not finished:
        print("stopped by SIGTERM; the checkpoint is written", flush=True)
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
