"""Checkpoints: everything that training needs to go on exactly where it stopped.

One safetensors file each, its JSON state in the header: written under another
name and then renamed, so it is whole or not there, on disk and in S3 (SageMaker
copies file by file). No pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import nn

from training.progress import PROGRESS, Progress, checkpoint_path, drop_old, read_progress, write_atomically

MODEL, BEST, OPTIMISER, RNG = "model.", "best.", "optimiser.", "rng."


def save_checkpoint(
    folder: Path, progress: Progress, model: nn.Module, best: dict[str, torch.Tensor], optimiser: torch.optim.Optimizer
) -> Path:
    """Write a checkpoint and drop the old ones."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    tensors |= {BEST + name: value for name, value in best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{number}.{name}": value for name, value in values.items()}
    tensors[RNG + "cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[RNG + "cuda"] = torch.cuda.get_rng_state()
    path = checkpoint_path(folder, progress)
    write_atomically(path, _pack(tensors, progress))
    drop_old(folder)
    return path


def _pack(tensors: dict[str, torch.Tensor], progress: Progress) -> bytes:
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(contiguous, metadata={PROGRESS: json.dumps(asdict(progress))})


def unpack(content: bytes) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Return a checkpoint's progress and tensors."""
    return read_progress(content), load(content)


def restore(
    tensors: dict[str, torch.Tensor], model: nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Put a checkpoint's tensors back; return the best weights so far."""
    model.load_state_dict(_below(tensors, MODEL))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _below(tensors, OPTIMISER).items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(tensors[RNG + "cpu"])
    if torch.cuda.is_available() and RNG + "cuda" in tensors:
        torch.cuda.set_rng_state(tensors[RNG + "cuda"])
    return _below(tensors, BEST)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
