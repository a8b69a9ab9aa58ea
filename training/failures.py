"""What stops a training, in words that lead to its remedy."""

from __future__ import annotations

import errno
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import TrainingFailed
from training.cause import LOST_PEER
from training.config import TrainConfig
from training.data import ROW, Split

LOST_PEER_SECONDS = 2  # in which torchrun notices a rank that died without a word
SHOWN = 5  # rows that a message names
NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")  # as torch says it, on CPUs and GPUs


def fingerprint(rows: NDArray[np.int64], arrays: Mapping[str, NDArray]) -> str:
    """Return sha256 over the numbers and the content of a batch's rows, in hex."""
    digest = hashlib.sha256(rows.astype("<i8").tobytes())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def check_loss(loss: float, where: str, *, split: Split, rows: NDArray[np.int64], config: TrainConfig) -> None:
    """Stop at a mean loss of a batch that is no number, or above ``max_loss``.

    Raises:
        TrainingFailed: naming the batch: its fingerprint, and its first rows by their numbers in the upload.
    """
    if math.isfinite(loss) and (not config.max_loss or loss <= config.max_loss):
        return
    arrays = split.take(rows)
    numbers = arrays[ROW].tolist()
    few = ", ".join(str(number) for number in numbers[:SHOWN]) + (", ..." if len(numbers) > SHOWN else "")
    limit = f", above train.max_loss = {config.max_loss:g}," if math.isfinite(loss) else ""
    raise TrainingFailed(
        f"the loss is {loss:g}{limit} in {where}; the batch of {len(rows)} rows ({few}; from {min(numbers)} to "
        f"{max(numbers)}, as the dataset numbers them) has the fingerprint sha256 {fingerprint(rows, arrays)}; "
        f"look at these rows, or {remedy(config)}"
    )


def remedy(config: TrainConfig) -> str:
    """Return what helps against a loss that grows without end."""
    return f"try a train.learning_rate below {config.learning_rate:g}, or a train.clip_norm"


@contextmanager
def explained(config: TrainConfig, ranks: int) -> Iterator[None]:
    """Say of memory and disks that are full which settings need less of them; let a lost rank be named first.

    Raises:
        TrainingFailed: in place of what torch or the system said.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if any(sign in str(error) for sign in LOST_PEER):
            time.sleep(LOST_PEER_SECONDS)  # torchrun takes the first error for the cause, and this one is not
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        rows = math.ceil(config.batch_size / ranks / config.accumulation)
        raise TrainingFailed(
            f"out of memory, at about {rows} rows a micro-batch: raise train.accumulation above {config.accumulation} "
            f"(the gradient stays the same), or lower train.batch_size = {config.batch_size} ({error})"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingFailed(f"the disk is full: raise train.volume_gb = {config.volume_gb} ({error})") from error


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return in which settings a checkpoint differs: ``recipe 'image' there, 'tabular' here``."""
    names = [name for name in ours if theirs.get(name) != ours[name]]
    return "; ".join(f"{name} is {theirs.get(name)!r} there and {ours[name]!r} here" for name in names)
