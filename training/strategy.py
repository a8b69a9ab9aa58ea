"""How ranks hold the model and exchange gradients.

ddp: every rank holds all of it, and gradients are averaged, as they are or compressed.
fsdp: parameters, gradients and the optimiser's state are divided among the ranks
(PyTorch's fully_shard); a layer is whole only while it computes. Both average over
ranks, so whoever sums losses over a batch multiplies by the number of ranks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from training.cluster import Cluster
from training.config import TrainConfig

UNIT = 2**20  # parameters from which on a layer is divided, and fetched, on its own
EXACT_UPDATES = 10  # at the start of powersgd, uncompressed: the first gradients are the largest
MEMORIES = ("error", "p_memory", "q_memory")  # of powersgd, each a tensor a bucket

Tensors = dict[str, torch.Tensor]


class Parallel:
    """The model over all ranks.

    Args:
        model: on the CPU, the same on each rank; it is moved to the rank's device.
        config: strategy, communication, compile.
        cluster: the ranks.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, cluster: Cluster) -> None:
        self._cluster = cluster
        self.watch = Stopwatch(cluster.device)
        self._powersgd: powerSGD_hook.PowerSGDState | None = None
        sharded = config.strategy == "fsdp" and cluster.size > 1
        if sharded:
            _divide(model, cluster)
        model.to(cluster.device)
        if cluster.device.type == "cpu" and not sharded and config.communication != "powersgd":
            # The channels of a pixel side by side: convolving and pooling images takes a CPU a fifth less time.
            # What fsdp divides and powersgd reads must lie in the order of its dimensions.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            model.compile()
        self.module = model if sharded or cluster.size == 1 else self._replicated(model, config)

    def _replicated(self, model: nn.Module, config: TrainConfig) -> nn.Module:
        # Looking for unused parameters keeps the buckets of gradients as they are first cut: powersgd remembers by
        # bucket, and a resumed job must find the same ones.
        powersgd = config.communication == "powersgd"
        module = DistributedDataParallel(
            model, forward_sync_buffers=False, find_unused_parameters=powersgd, gradient_as_bucket_view=True
        )
        if powersgd:
            self._powersgd = powerSGD_hook.PowerSGDState(
                _everyone(),
                matrix_approximation_rank=config.powersgd_rank,
                start_powerSGD_iter=EXACT_UPDATES,
                random_seed=config.seed % 2**32,
            )
        # A lambda, because DDP compares annotations with types, and in this module they are texts.
        if powersgd or config.rebalance or config.communication == "fp16":
            module.register_comm_hook(config.communication, lambda how, bucket: self._exchange(how, bucket))
        return module

    def _exchange(self, communication: str, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """Average one bucket of gradients; when the last one is ready, this rank's own work is done."""
        if bucket.is_last():
            self.watch.stop()
        if self._powersgd is not None:
            averaged = powerSGD_hook.powerSGD_hook(self._powersgd, bucket)
            if self._cluster.device.type == "cpu":
                averaged.wait()  # gloo goes on in threads of its own, where the exchanges of two buckets would cross
            return averaged
        hook = default_hooks.fp16_compress_hook if communication == "fp16" else default_hooks.allreduce_hook
        return hook(_everyone(), bucket)

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the network's raw outputs."""
        outputs: torch.Tensor = self.module(*inputs)
        return outputs

    def exchanging(self, now: bool) -> AbstractContextManager[Any]:
        """Exchange gradients at the end of a backward pass, or only add them up on this rank."""
        if isinstance(self.module, DistributedDataParallel):
            return nullcontext() if now else self.module.no_sync()
        return self._postponing(not now) if self._cluster.size > 1 else nullcontext()

    @contextmanager
    def _postponing(self, postponed: bool) -> Iterator[None]:
        self.module.set_requires_gradient_sync(not postponed)  # type: ignore[operator]
        yield

    def clip(self, longest: float) -> float:
        """Shorten the gradient to ``longest`` (L2 norm over all parameters of all ranks); return its norm before."""
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), longest)
        return float(plain(norm))

    def memory(self) -> Tensors:
        """Return what powersgd remembers on all ranks, by name; all ranks must call it, and it is whole on rank 0."""
        if self._powersgd is None:
            return {}
        tensors = {"updates": torch.tensor(self._powersgd.iter)}
        for name in MEMORIES:
            for bucket, value in getattr(self._powersgd, f"{name}_dict").items():
                ranks = self._cluster.gather(value[None], [1] * self._cluster.size)
                tensors |= {f"{rank}.{name}.{bucket}": each for rank, each in enumerate(ranks)}
        return tensors

    def remember(self, tensors: Tensors) -> bool:
        """Put back what :meth:`memory` returned; False where it is of another number of ranks, and is not used."""
        if self._powersgd is None or "updates" not in tensors:
            return True
        ranks = {name.split(".")[0] for name in tensors if name != "updates"}
        if ranks and len(ranks) != self._cluster.size:
            return False
        self._powersgd.iter = int(tensors["updates"])
        for name, value in tensors.items():
            rank, _, rest = name.partition(".")
            if rank == str(self._cluster.rank):
                kind, bucket = rest.split(".")
                getattr(self._powersgd, f"{kind}_dict")[int(bucket)] = value.to(self._cluster.device)
        return True


class Stopwatch:
    """Measures a rank's own work of an update, up to when its last gradient is ready; waiting for others is not in it.

    On a GPU, by events in its queue of work: nobody waits for the time to be told.

    Args:
        device: where the rank computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._begun = self._ended = self._moment()

    def _moment(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def start(self) -> None:
        """The update begins."""
        self._begun = self._ended = self._moment()

    def stop(self) -> None:
        """The last gradient is ready."""
        self._ended = self._moment()

    def seconds(self) -> float:
        """Return the time between the two; 0 before the first update."""
        if not self._cuda:
            return float(self._ended - self._begun)
        self._ended.synchronize()
        return float(self._begun.elapsed_time(self._ended)) / 1000


def _everyone() -> dist.ProcessGroup:
    assert dist.group.WORLD is not None  # the ranks have joined
    return dist.group.WORLD


def _divide(model: nn.Module, cluster: Cluster) -> None:
    """Divide large layers one by one, so that few are whole at a time, then all the rest."""
    # Importing these takes most of a second, which every other strategy is spared.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(cluster.device.type, (cluster.size,))
    for module in list(model.modules())[::-1]:  # inner ones first
        own = sum(parameter.numel() for parameter in module.parameters() if not is_divided(parameter))
        if module is model or own >= UNIT:
            fully_shard(module, mesh=mesh)


def optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=config.momentum, weight_decay=decay)
    # Fused: one pass over each parameter in place of one an operation.
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def is_divided(tensor: torch.Tensor) -> bool:
    """Whether each rank has a part of it: whether it is a DTensor, asked without importing that."""
    return hasattr(tensor, "full_tensor")


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a whole tensor; of a divided one all ranks must ask."""
    return tensor.full_tensor() if is_divided(tensor) else tensor  # type: ignore[attr-defined]


def as_laid_out(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a tensor that every rank has as a whole laid out in memory as ``like``: this rank's part, its strides.

    A fused optimiser reads a parameter and its state side by side as they lie.
    """
    if not is_divided(like):
        return torch.empty_like(like).copy_(tensor)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
