"""Checkpoints of Keras networks: the files of :mod:`training.checkpoint`, with Keras's names for tensors. No pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from training.progress import PROGRESS, Progress, checkpoint_path, drop_old, write_atomically

MODEL, BEST, OPTIMISER = "model.", "best.", "optimiser."
Tensors = dict[str, NDArray]


def tensors(variables: Iterable[keras.Variable]) -> Tensors:
    """Return copies of variables by path: ``convolution_1/kernel``."""
    return {variable.path: np.array(variable) for variable in variables}


def assign(variables: Iterable[keras.Variable], values: Mapping[str, NDArray]) -> None:
    """Give variables the values of the same path."""
    for variable in variables:
        variable.assign(values[variable.path])


def pack(values: Mapping[str, NDArray], metadata: dict[str, str] | None = None) -> bytes:
    """Return a safetensors file of arrays."""
    return save({name: np.array(value, order="C") for name, value in values.items()}, metadata)  # scalars stay scalars


def save_checkpoint(
    folder: Path, progress: Progress, model: keras.Model, best: Tensors, optimiser: keras.Optimizer
) -> None:
    """Write a checkpoint and drop the old ones; seeds of random layers are among a model's variables."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {MODEL: tensors(model.variables), BEST: best, OPTIMISER: tensors(optimiser.variables)}
    values = {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
    content = pack(values, {PROGRESS: json.dumps(asdict(progress))})
    write_atomically(checkpoint_path(folder, progress), content)
    drop_old(folder)


def restore(content: bytes, model: keras.Model, optimiser: keras.Optimizer) -> Tensors:
    """Put a checkpoint's tensors back; return the best weights so far."""
    values = load(content)
    assign(model.variables, _below(values, MODEL))
    assign(optimiser.variables, _below(values, OPTIMISER))
    return _below(values, BEST)


def _below(values: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
