"""The devices of a TensorFlow training job, over all its hosts, and what they tell each other.

One process a host drives all of the host's GPUs, or its CPU: alone under MirroredStrategy, and where ``TF_CONFIG``
names several hosts under MultiWorkerMirroredStrategy. Each device is a replica; replicas are numbered over all hosts.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from contract.errors import TrainingFailed
from training.container import gpus

SUM = tf.distribute.ReduceOp.SUM


class Cluster:
    """This process among its peers.

    Args:
        timeout: seconds after which a silent peer is lost.
        devices: of this host, for MirroredStrategy; by default all its GPUs, or its CPU.

    Attributes:
        strategy: how the replicas stay the same.
        rank: this host's number; 0 writes files.
        size: replicas, over all hosts.
        device: what they compute on: ``cpu`` or ``gpu``.
    """

    def __init__(self, *, timeout: float, devices: Sequence[str] | None = None) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        self.stopping = False
        threads = int(os.environ.get("OMP_NUM_THREADS", "0"))  # 0: TensorFlow decides
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:  # it can only be set before all else
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        config = json.loads(os.environ.get("TF_CONFIG", "{}"))
        self.rank = int(config["task"]["index"]) if config else 0
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
        self.strategy: tf.distribute.Strategy = (
            tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
            if config
            else tf.distribute.MirroredStrategy(devices)
        )
        self.size: int = self.strategy.num_replicas_in_sync
        self.device = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"

    def check_gpus(self, instance: str) -> None:
        """Refuse to compute on the CPU of a machine that is paid for its GPUs.

        Raises:
            TrainingFailed: when the host has GPUs that TensorFlow cannot use.
        """
        if self.device == "cpu" and re.match(r"ml\.[gp][0-9]", instance) and tf.test.is_built_with_cuda() and gpus():
            raise TrainingFailed(
                f"TensorFlow {tf.__version__} cannot use the GPUs of this {instance}; "
                "its driver is too old for this image: take another train.instance"
            )

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def scatter(self, part: Callable[[int, int], dict[str, NDArray]]) -> Any:
        """Return, for :meth:`on_replicas`, what ``part(replica, replicas)`` gives for each replica of this host."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: {
                name: tf.convert_to_tensor(array)
                for name, array in part(context.replica_id_in_sync_group, context.num_replicas_in_sync).items()
            }
        )

    def on_replicas(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run ``function`` on each replica; return the first's result, for functions whose results are all the same."""
        results = self.strategy.run(function, args=arguments)
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], results)

    def share(self, content: bytes) -> bytes:
        """Return rank 0's ``content`` on every host."""
        mine = np.frombuffer(content if self.leads else b"", np.uint8)
        length = int(self._sum_of_hosts(np.array([len(mine)], np.float64))[0])
        padded = np.zeros(length, np.float32)  # collectives on GPUs know no bytes
        padded[: len(mine)] = mine
        return self._sum_of_hosts(padded).astype(np.uint8).tobytes() if length else b""

    def meet(self) -> None:
        """Wait for all hosts: one that leaves while others compute would be missed."""
        self._sum_of_hosts(np.ones(1, np.float32))

    def _sum_of_hosts(self, values: NDArray) -> NDArray:
        """Return the sum over hosts; the first replica of each speaks for it."""
        each = len(self.strategy.extended.worker_devices)
        spoken = self.scatter(lambda replica, _: {"values": values if replica % each == 0 else np.zeros_like(values)})

        def add(part: dict[str, tf.Tensor]) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce(SUM, part["values"])

        return tf.function(lambda: self.on_replicas(add, spoken))().numpy()
