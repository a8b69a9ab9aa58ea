"""The peers of benchmarks/serve.py, each written as its documentation does, with its own validation by pydantic.

    BENCHMARK_FOLDER=... BENCHMARK_PORT=... python -m benchmarks.serve_peers.with_fastapi

The folder holds ``model.onnx`` and ``columns.json``. Each takes ``{"instances": [{column: number or null}, ...]}`` with
every column and no other, finite numbers alone, and answers ``{"predictions": [{"label", "probabilities"}, ...]}``.
ONNX Runtime runs as in our server, with one thread for each call, and no peer writes an access log. This module has
what they share: the pydantic models, and numbers from them and to them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, create_model

LABELS = ("malignant", "benign")
FOLDER = Path(os.environ["BENCHMARK_FOLDER"])
PORT = int(os.environ["BENCHMARK_PORT"])
Number = Annotated[float | None, Field(allow_inf_nan=False)]

Row: Any = create_model(  # type: ignore[call-overload]
    "Row",
    __config__=ConfigDict(extra="forbid"),
    **dict.fromkeys(json.loads((FOLDER / "columns.json").read_text()), (Number, ...)),
)


class Rows(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid")
    instances: Annotated[list[Row], Field(min_length=1)]


class Prediction(BaseModel):
    """A row's answer."""

    label: str
    probabilities: dict[str, float]


class Answer(BaseModel):
    """An answer."""

    predictions: list[Prediction]


def session() -> onnxruntime.InferenceSession:
    """Return the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"])


def to_array(rows: list[Any]) -> np.ndarray:
    """Return float32 [rows, columns]."""
    return np.array([list(vars(row).values()) for row in rows], np.float32)


def to_answer(probabilities: np.ndarray) -> Answer:
    """Return the answer of each row."""
    rows = [dict(zip(LABELS, row, strict=True)) for row in probabilities.tolist()]
    best = probabilities.argmax(axis=1)
    return Answer(
        predictions=[Prediction(label=LABELS[i], probabilities=row) for i, row in zip(best, rows, strict=True)]
    )
