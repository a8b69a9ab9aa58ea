"""The model in memory: an ONNX Runtime session that has been checked against its manifest."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from contract.errors import InvalidModel
from contract.keys import MODEL_ONNX
from contract.manifest import ModelManifest, Schema, Tensor
from serving.archive import read_manifest
from serving.inputs import Arrays, InputReader, reader_for

PROBES = 4096  # codes that are tried when the model is loaded
CHUNK = 1024  # rows in one call, so that a large batch does not multiply the activations in memory
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
ONNX_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "int64": "tensor(int64)"}


class Model:
    """One model version, ready to predict from any thread.

    Args:
        manifest: its signature, features and labels.
        path: the ONNX file.

    Raises:
        InvalidModel: when ONNX Runtime cannot read the file, or its inputs or
            its output are not those of the manifest.
    """

    def __init__(self, manifest: ModelManifest, path: Path) -> None:
        self.manifest = manifest
        self.labels = manifest.schema.labels
        self.reader: InputReader = reader_for(manifest.schema)
        self._session = _session(path)
        self._check_signature()
        started = time.perf_counter()
        self._try(blank(manifest.schema.inputs), "its first row")
        self.first_seconds = time.perf_counter() - started
        self._try(probes(manifest.schema), "rows of every code")

    def answers(self, arrays: Mapping[str, npt.NDArray]) -> npt.NDArray[np.float32]:
        """Return probabilities or values, float32 [rows, labels].

        Args:
            arrays: the model's inputs by name, with equal first dimension.

        Raises:
            ArithmeticError: when the model answers a number that is not finite.
        """
        rows, output = len(next(iter(arrays.values()))), self.manifest.schema.output
        parts = [
            self._session.run([output], {name: array[start : start + CHUNK] for name, array in arrays.items()})[0]
            for start in range(0, rows, CHUNK)
        ]
        result = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not np.isfinite(result).all():
            raise ArithmeticError("the model answered a number that is not finite")
        return result

    def _check_signature(self) -> None:
        found = {node.name: node for node in self._session.get_inputs()}
        wanted = {tensor.name: tensor for tensor in self.manifest.schema.inputs}
        if found.keys() != wanted.keys():
            raise InvalidModel(f"{MODEL_ONNX} takes {sorted(found)}, the manifest says {sorted(wanted)}")
        for name, tensor in wanted.items():
            _check_input(found[name], tensor)
        outputs = [node.name for node in self._session.get_outputs()]
        expected = self.manifest.schema.output
        if outputs != [expected]:
            raise InvalidModel(f"{MODEL_ONNX} answers {outputs}; expected one output, {expected!r}")

    def _try(self, arrays: Arrays, which: str) -> None:
        """Predict rows of which nothing is known: it proves that the model runs, and warms it."""
        rows = len(next(iter(arrays.values())))
        try:
            answer = self.answers(arrays)
        except Exception as error:  # whatever ONNX Runtime raises, the model cannot serve
            raise InvalidModel(f"{MODEL_ONNX} fails on {which}: {error}") from error
        if answer.shape != (rows, len(self.labels)) or answer.dtype != np.float32:
            raise InvalidModel(
                f"{MODEL_ONNX} answers {answer.dtype} {list(answer.shape)} to {which}; "
                f"expected float32 [{rows}, {len(self.labels)}], a column a label"
            )


def load(folder: Path) -> Model:
    """Check the archive unpacked in ``folder`` and load it.

    Raises:
        InvalidModel: when it is incomplete, altered, unsafe, or does not run.
    """
    return Model(read_manifest(folder), folder / MODEL_ONNX)


def blank(inputs: tuple[Tensor, ...]) -> Arrays:
    """Return one row in which every number is missing, every category unknown and every pixel black."""
    return {
        tensor.name: np.full((1, *tensor.shape[1:]), np.nan if tensor.dtype == "float32" else 0, tensor.dtype)
        for tensor in inputs
    }


def probes(schema: Schema) -> Arrays:
    """Return rows in which every code of a category and of a word occurs, up to a limit.

    Weights that are no numbers, and tables shorter than the manifest says, show themselves here and not to a client.
    """
    codes = [feature.codes for feature in schema.features if feature.kind == "category"]
    words = [len(feature.vocabulary) + 2 for feature in schema.features if feature.kind == "text"]
    arrays = {tensor.name: np.repeat(blank((tensor,))[tensor.name], 2, axis=0) for tensor in schema.inputs}
    if codes:
        rows = np.arange(min(max(codes), PROBES))
        arrays = {name: np.resize(array, (len(rows), *array.shape[1:])) for name, array in arrays.items()}
        arrays["category"] = np.stack([rows % size for size in codes], axis=1)
    elif words:
        length = arrays["text"].shape[1]
        arrays["text"] = (np.arange(math.ceil(min(words[0], PROBES) / length) * length) % words[0]).reshape(-1, length)
    for array in arrays.values():  # of the others, a second kind of row
        if array.dtype != np.int64:
            array[1::2] = 255 if array.dtype == np.uint8 else 0
    return arrays


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Requests run side by side, one thread each: more threads for one of them would only take turns.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The image's build is for CPUs; another one, for GPUs, is used where it is installed.
    providers = [each for each in PROVIDERS if each in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # its exceptions share no public base class
        raise InvalidModel(f"ONNX Runtime {onnxruntime.__version__} cannot load {path.name}: {error}") from error


def _check_input(node: onnxruntime.NodeArg, tensor: Tensor) -> None:
    fixed = [size for size in node.shape[1:] if isinstance(size, int)]
    expected = [size for size, found in zip(tensor.shape[1:], node.shape[1:], strict=False) if isinstance(found, int)]
    fits = node.type == ONNX_TYPES[tensor.dtype] and len(node.shape) == len(tensor.shape) and fixed == expected
    if not fits or isinstance(node.shape[0], int):
        raise InvalidModel(
            f"input {tensor.name!r} of {MODEL_ONNX} is {node.type} {node.shape}; "
            f"the manifest says {tensor.dtype} {list(tensor.shape)}, with a free first dimension"
        )
