"""What makes a training repeat itself to the bit: on the same machine, after a stop, in another process.

No state of random generators is kept: every update seeds what is random in it, by its number.
"""

from __future__ import annotations

import torch

from training.cluster import Cluster

SPREAD, MASK = 1_000_003, 2**63 - 1  # spread the seeds of updates and ranks over what torch takes


def begin(seed: int) -> None:
    """Seed the network's first weights, and have torch compute alike each time."""
    torch.manual_seed(seed)
    # Where CUDA has only an inexact kernel (max pooling backwards), that is used, with a warning.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling it finds mistakes, and costs a write of all memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # fp32 says what it is; PyTorch would round convolutions to TF32


def seed_update(cluster: Cluster, *, seed: int, number: int) -> None:
    """Seed what this rank draws in an update, so that a resumed run draws what the uninterrupted one does."""
    cluster.seed(((seed + 1) * SPREAD + number) * SPREAD + cluster.rank & MASK)
