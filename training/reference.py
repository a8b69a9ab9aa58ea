"""What a trained network answers to some rows, recorded beside it: what its other forms are compared with.

Evaluate can then judge a form without the framework that made it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from contract.manifest import Schema
from training.data import Arrays


def blank(schema: Schema) -> dict[str, NDArray]:
    """Return one row in which every number is missing, every category unknown and every pixel black."""
    return {
        tensor.name: np.full((1, *tensor.shape[1:]), np.nan if tensor.dtype == "float32" else 0, tensor.dtype)
        for tensor in schema.inputs
    }


def write(path: Path, rows: Arrays, answers: NDArray[np.float32], schema: Schema) -> None:
    """Record answers, float32 [n, labels], to rows: the schema's inputs, n each."""
    inputs = {tensor.name: np.ascontiguousarray(rows[tensor.name]) for tensor in schema.inputs}
    save_file({**inputs, schema.output: np.ascontiguousarray(answers)}, path)


def read(path: Path, schema: Schema) -> tuple[dict[str, NDArray], NDArray[np.float32]]:
    """Return the rows and the answers."""
    arrays = load_file(path)
    return {tensor.name: arrays[tensor.name] for tensor in schema.inputs}, arrays[schema.output]
