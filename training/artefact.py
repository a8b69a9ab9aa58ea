"""The manifest of a model that a training job leaves."""

from __future__ import annotations

import platform

from contract.manifest import FORMAT, ModelManifest, Schema
from training.config import TrainConfig
from training.progress import Progress


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
