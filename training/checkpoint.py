"""Checkpoints: everything that training needs to go on exactly where it stopped.

One safetensors file each, its JSON state in the header: written under another
name and then renamed, so it is whole or not there, on disk and in S3 (SageMaker
copies file by file). No pickle.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

KEPT = 2  # the newest, and one more in case the newest was cut short on its way to S3
MODEL, BEST, OPTIMISER, RNG = "model.", "best.", "optimiser.", "rng."


@dataclass(kw_only=True)
class Progress:
    """How far training is.

    The first ``step`` updates of ``epoch`` are done (both count from 0); the sums
    are over them. ``best`` is the history's line of the weights kept as best.
    """

    learning: dict[str, Any]
    fingerprint: str
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)


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
    path = folder / f"epoch-{progress.epoch:05}-step-{progress.step:07}.safetensors"
    write_atomically(path, _pack(tensors, progress))
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _pack(tensors: dict[str, torch.Tensor], progress: Progress) -> bytes:
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save(contiguous, metadata={"progress": json.dumps(asdict(progress))})


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, even after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(folder.glob("epoch-*.safetensors"))


def newest(folder: Path) -> bytes:
    """Return the newest whole checkpoint's content, or ``b""`` when there is none.

    One that was cut short is reported and passed over: the one before it is
    exact too, only older.
    """
    for path in reversed(checkpoints(folder)):
        try:
            with safe_open(path, "pt") as file:
                file.keys()
        except SafetensorError as error:
            print(f"checkpoint {path.name} is damaged ({error}); trying the one before", flush=True)
            continue
        return path.read_bytes()
    return b""


def unpack(content: bytes) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Return a checkpoint's progress and tensors."""
    from safetensors.torch import load

    length = int.from_bytes(content[:8], "little")
    state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["progress"])
    return Progress(**state), load(content)


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
