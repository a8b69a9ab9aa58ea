"""The ranks of a training job, and what they tell each other. Without torchrun there is one."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import torch
import torch.distributed as dist

from contract.errors import TrainingFailed
from training.container import gpus
from training.host_memory import Host
from training.watchdog import Doing

TIMEOUT = timedelta(minutes=10)  # to meet: hosts start minutes apart; a silent rank is the watchdog's


class Cluster:
    """This process among its peers.

    Attributes:
        rank: its number; 0 writes files.
        size: how many there are.
        device: where it computes.
        host_of_rank: the number of the host that each rank is on; known once joined.
        stopping: whether this rank was asked to stop.
        doing: what it does now, for the watchdog.
        since: when it began that (time.monotonic).
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        self.host_of_rank = [0]
        self.stopping = False
        self.doing, self.since = Doing(number=0, phase="starting", epoch=0, step=0), time.monotonic()

    def does(self, phase: str, *, epoch: int, step: int) -> None:
        """Note what this rank begins to do; every rank says the same things in the same order."""
        self.doing = Doing(number=self.doing.number + 1, phase=phase, epoch=epoch, step=step)
        self.since = time.monotonic()

    def check_gpus(self, instance: str) -> None:
        """Refuse to compute on the CPU of a machine that is paid for its GPUs.

        Raises:
            TrainingFailed: when the host has GPUs that torch cannot use.
        """
        if self.device.type == "cpu" and re.match(r"ml\.[gp][0-9]", instance) and torch.version.cuda and gpus():
            raise TrainingFailed(
                f"torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use the GPUs of this {instance}; "
                "its driver is too old for this image: take another train.instance"
            )

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Meet the other ranks, and take SIGTERM as a wish to stop soon."""
        signal.signal(signal.SIGTERM, self._stop)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=TIMEOUT)
            host = int(os.environ.get("GROUP_RANK", self.rank))  # torchrun's; without it each process is a host
            self.host_of_rank = [int(number) for number in self.sum(*self.in_place(host))]
        try:
            yield
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def seed(self, number: int) -> None:
        """Seed what this rank draws at random; ``torch.manual_seed`` would ask every kind of device, each time."""
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(number)

    def in_place(self, value: float) -> list[float]:
        """Return a number for each rank: this rank's own, and 0 for the others; their sum has those of all."""
        return [value if rank == self.rank else 0.0 for rank in range(self.size)]

    def sum(self, *values: float) -> list[float]:
        """Return the sums over all ranks (float64)."""
        return self.sum_later(torch.tensor(values, dtype=torch.float64, device=self.device))()

    def sum_later(self, values: torch.Tensor) -> Callable[[], list[float]]:
        """Begin to sum over all ranks; the sums are had by a call, and other work may be done before."""
        if self.size == 1:
            return lambda: list(values.tolist())
        pending = dist.all_reduce(values, async_op=True)

        def wait() -> list[float]:
            pending.wait()
            return list(values.tolist())

        return wait

    def gather(self, rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        """Return the first ``counts[rank]`` rows [n, ...] of every rank, by rank, [sum(counts), ...]."""
        if self.size == 1:
            return rows[: counts[0]]
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: counts[self.rank]] = rows[: counts[self.rank]]
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def common_memory(self) -> Host | None:
        """Return a file in memory that this host's ranks have in common; None where each host has one.

        All ranks have to call it. Linux's: a rank opens the file of its host's first one by way of /proc.
        """
        if len(set(self.host_of_rank)) == self.size:
            return None
        mine = [rank for rank, host in enumerate(self.host_of_rank) if host == self.host_of_rank[self.rank]]
        file = os.memfd_create("windows") if mine[0] == self.rank else 0
        told = self.sum(*self.in_place(os.getpid()), *self.in_place(file))
        if mine[0] != self.rank:
            process, number = int(told[mine[0]]), int(told[self.size + mine[0]])
            file = os.open(f"/proc/{process}/fd/{number}", os.O_RDWR | os.O_CLOEXEC)
        self.sum(0.0)  # all have opened it
        return Host(file=file, number=mine.index(self.rank), ranks=len(mine))

    def share(self, content: bytes) -> bytes:
        """Return rank 0's ``content`` on every rank."""
        if self.size == 1:
            return content
        length = torch.tensor([len(content)], device=self.device)
        dist.broadcast(length, 0)
        data = torch.empty(int(length), dtype=torch.uint8)
        if self.leads and content:
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        data = data.to(self.device)
        if len(data):
            dist.broadcast(data, 0)
        return data.cpu().numpy().tobytes()
