"""What a training job leaves: the weights, the manifest, the history, which become model.tar.gz."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from contract import keys
from contract.manifest import FORMAT, ModelManifest, Schema
from training.config import TrainConfig
from training.progress import Progress, write_atomically


def write(folder: Path, weights: Mapping[str, torch.Tensor], made: ModelManifest, progress: Progress) -> None:
    """Write whole weights, on the CPU, and what is to be known of them."""
    folder.mkdir(parents=True, exist_ok=True)
    history = "".join(json.dumps(line) + "\n" for line in progress.history)
    write_atomically(folder / keys.MODEL_METRICS, history.encode())
    write_atomically(folder / keys.MODEL_MANIFEST, json.dumps(made.to_dict()).encode())
    write_atomically(folder / keys.MODEL_WEIGHTS, save({name: each.contiguous() for name, each in weights.items()}))


def manifest(config: TrainConfig, schema: Schema, progress: Progress, **lineage: str) -> ModelManifest:
    """Return the manifest of the best weights so far; ``lineage`` adds what they were computed with."""
    return ModelManifest(
        format=FORMAT,
        tenant="",  # a training job is not told whose it is; Evaluate fills these in
        project="",
        run="",
        recipe=config.recipe,
        options=config.options,
        schema=schema,
        lineage={
            "seed": str(config.seed),
            "best_epoch": str(int(progress.best["epoch"])),
            "python": platform.python_version(),
            **lineage,
        },
    )
