"""Checkpoints: everything that training needs to go on exactly where it stopped.

One safetensors file each, its JSON state in the header: written under another
name and then renamed, so it is whole or not there, on disk and in S3 (SageMaker
copies file by file). Tensors are whole in it, however the ranks divided them, so
another strategy or number of ranks can go on from it. No pickle, and no state of random
generators: every update seeds its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import nn

from training.progress import PROGRESS, Progress, checkpoint_path, drop_old, read_progress, write_atomically
from training.strategy import Parallel, as_laid_out, plain

MODEL, BEST, OPTIMISER, MEMORY = "model.", "best.", "optimiser.", "memory."

Tensors = dict[str, torch.Tensor]


def collect(model: nn.Module, best: Tensors, optimiser: torch.optim.Optimizer, parallel: Parallel) -> Tensors:
    """Return all tensors of a checkpoint, whole; all ranks must call it."""
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    tensors |= {BEST + name: value for name, value in best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{number}.{name}": value for name, value in values.items() if value is not None}
    tensors |= {MEMORY + name: value for name, value in parallel.memory().items()}
    return whole(tensors)


def whole(tensors: Tensors) -> Tensors:
    """Return tensors on the CPU, one after the other made whole; all ranks must call it.

    In the order of their names, because the ranks must go together, and files give tensors in any order.
    """
    return {name: plain(tensors[name].detach()).cpu() for name in sorted(tensors)}


def save_checkpoint(folder: Path, progress: Progress, tensors: Tensors) -> Path:
    """Write a checkpoint and drop the old ones."""
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(folder, progress)
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    write_atomically(path, save(contiguous, metadata={PROGRESS: json.dumps(asdict(progress))}))
    drop_old(folder)
    return path


def unpack(content: bytes) -> tuple[Progress, Tensors]:
    """Return a checkpoint's progress and tensors."""
    return read_progress(content), load(content)


def restore(tensors: Tensors, model: nn.Module, optimiser: torch.optim.Optimizer) -> Tensors:
    """Put a checkpoint's tensors back; return the best weights so far."""
    like = model.state_dict()
    model.load_state_dict(_as_in(like, below(tensors, MODEL)))
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, Tensors] = {}
    for name, value in below(tensors, OPTIMISER).items():
        number, key = name.split(".", 1)
        parameter = parameters[int(number)]
        state.setdefault(int(number), {})[key] = as_laid_out(value, parameter) if value.dim() else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return _as_in(like, below(tensors, BEST))


def _as_in(like: Tensors, tensors: Tensors) -> Tensors:
    """Divide tensors, and lay them out, as those of the same names are."""
    return {name: as_laid_out(value, like[name]) for name, value in tensors.items()}


def below(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose name begins with ``prefix``, by the rest of it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
