"""ONNX models with float32 arithmetic: exported, asked, timed.

They are exported by tracing (``dynamo=False``): for these networks, which have no branches, that is exact and takes
0.2 s, where the torch.export-based exporter takes 3 s and needs two more packages. Each
is compared with the trained model on held-out rows, so a wrong export cannot pass.
Keras recipes' jobs bring theirs along: see :func:`trained`. What else is made of them: :mod:`training.forms`.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from contract import keys
from contract.errors import InvalidModel
from contract.manifest import ModelManifest, Schema
from training import quantise, reference
from training.data import Arrays
from training.recipes import Recipe

OPSET = 18
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
BATCH = 1024
WARM_UP = 10  # requests


class Answers(nn.Module):
    """A trained network that answers as it will be served: probabilities or values, float32 [n, labels].

    Args:
        network: the network, on the CPU.
        recipe: what turns its outputs into answers.
        schema: what it was learned from.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, schema: Schema) -> None:
        super().__init__()
        self.network, self._recipe, self._schema = network, recipe, schema
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Predict."""
        return self._recipe.answer(self.network(*inputs), self._schema)


def export(model: Answers, schema: Schema, example: Arrays) -> bytes:
    """Return the model as ONNX: the schema's inputs, one output, any number of rows.

    Args:
        model: what answers.
        schema: names its inputs and its output.
        example: some rows of them.
    """
    names = [tensor.name for tensor in schema.inputs]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder, keys.MODEL_ONNX)
        warnings.simplefilter("ignore", DeprecationWarning)  # that the other exporter is the default now
        torch.onnx.export(
            model,
            tuple(torch.from_numpy(example[name]) for name in names),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[schema.output],
            dynamic_axes={name: {0: "batch"} for name in [*names, schema.output]},
        )
        return file.read_bytes()


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model in float32, what its network itself answers to some rows, and the network where it is here."""

    onnx: bytes
    answered: tuple[tuple[Arrays, NDArray[np.float32]], ...]
    network: nn.Module | None = None


def trained(folder: Path, recipe: Recipe, manifest: ModelManifest, rows: Arrays) -> Trained:
    """Return what training left in the folder of its archive.

    A job whose framework is not here has made the form itself, and recorded answers beside it.

    Args:
        folder: the unpacked archive.
        recipe: what it was trained with.
        manifest: the archive's.
        rows: held-out rows.
    """
    schema = manifest.schema
    if keys.MODEL_ONNX in manifest.files:
        recorded = reference.read(folder / keys.MODEL_REFERENCE, schema)
        return Trained(onnx=quantise.fused((folder / keys.MODEL_ONNX).read_bytes()), answered=(recorded,))
    network = recipe.network(schema, recipe.parse_options(manifest.options))
    network.load_state_dict(load_file(folder / keys.MODEL_WEIGHTS))
    return exported(network, recipe, schema, rows)


def exported(network: nn.Module, recipe: Recipe, schema: Schema, rows: Arrays) -> Trained:
    """Return a network as it would be served.

    Held-out rows may lack what requests may have: the row of which nothing is known is answered as well.
    """
    model = Answers(network, recipe, schema)
    asked = (rows, reference.blank(schema))
    return Trained(
        onnx=quantise.fused(export(model, schema, {name: array[:2] for name, array in rows.items()})),
        answered=tuple((some, predict_with_torch(model, some, schema)) for some in asked),
        network=network,
    )


def open_session(model: bytes, *, plain: bool = False) -> onnxruntime.InferenceSession:
    """Return a session that computes on one thread, as a small server would.

    Args:
        model: the ONNX file.
        plain: compute operation by operation as they stand, without ONNX Runtime's fused kernels.

    Raises:
        InvalidModel: when ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, options, providers=_providers())
    except Exception as error:  # its exceptions have no common public base
        raise InvalidModel(f"ONNX Runtime cannot load the model: {error}") from error


def _providers() -> list[str]:
    """Return where sessions compute, as the server does: on the GPU where this build of ONNX Runtime can, else here."""
    return [each for each in PROVIDERS if each in onnxruntime.get_available_providers()]


def predict(session: onnxruntime.InferenceSession, arrays: Arrays, schema: Schema) -> NDArray[np.float32]:
    """Return the answers to all rows, float32 [n, labels]."""
    names = [tensor.name for tensor in schema.inputs]
    rows = len(arrays[names[0]])
    parts = [
        session.run([schema.output], {name: arrays[name][first : first + BATCH] for name in names})[0]
        for first in range(0, rows, BATCH)
    ]
    return np.concatenate(parts)


def predict_with_torch(model: Answers, arrays: Arrays, schema: Schema) -> NDArray[np.float32]:
    """Return the trained network's own answers, float32 [n, labels]."""
    names = [tensor.name for tensor in schema.inputs]
    rows = len(arrays[names[0]])
    with torch.no_grad():
        parts = [
            model(*(torch.from_numpy(arrays[name][first : first + BATCH]) for name in names))
            for first in range(0, rows, BATCH)
        ]
    return torch.cat(parts).numpy()


def apart(session: onnxruntime.InferenceSession, arrays: Arrays, answers: NDArray[np.float32], schema: Schema) -> float:
    """Return how far a form is from the answers that it should give to rows, in the schema's scale.

    It is NaN when either answers one.
    """
    return float(np.abs(predict(session, arrays, schema) - answers).max()) / schema.scale


def latencies(
    sessions: Mapping[str, onnxruntime.InferenceSession], arrays: Arrays, schema: Schema, *, requests: int
) -> dict[str, dict[str, float]]:
    """Return the median and the 99th percentile of single-row predictions of each, in milliseconds, after a warm-up.

    They are asked in turns, each time another one first: what else the machine does hits all alike.
    """
    names, order = [tensor.name for tensor in schema.inputs], list(sessions)
    rows, seconds = len(arrays[names[0]]), {name: np.empty(requests + WARM_UP) for name in sessions}
    for number in range(requests + WARM_UP):
        row: dict[str, Any] = {name: arrays[name][number % rows : number % rows + 1] for name in names}
        for place in range(len(order)):
            name = order[(number + place) % len(order)]
            started = time.perf_counter()
            sessions[name].run([schema.output], row)
            seconds[name][number] = time.perf_counter() - started
    return {name: _percentiles(values[WARM_UP:]) for name, values in seconds.items()}


def _percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds * 1000, [50, 99])
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4)}
