"""The ranks of a training job, and what they tell each other. Without torchrun there is one."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import torch
import torch.distributed as dist

from contract.errors import TrainingFailed
from training.container import gpus

TIMEOUT = timedelta(minutes=10)  # a rank that is silent for so long is lost


class Cluster:
    """This process among its peers.

    Attributes:
        rank: its number; 0 writes files.
        size: how many there are.
        device: where it computes.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        self.stopping = False

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
        try:
            yield
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def sum(self, *values: float) -> list[float]:
        """Return the sums over all ranks (float64)."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return list(tensor.tolist())

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows [n, ...] of all ranks, by rank, [size x n, ...]; n is the same everywhere."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

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
