"""ONNX models, rewritten: fused, in 8 bits, in float16. Inputs, output and their types stay as they are.

Integers of 8 bits are multiplied exactly: weights take 7 of their 8 bits, because the kernels of x86 processors without
VNNI add two products in 16 bits, and would saturate. So the integers are the same on every processor.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html#when-and-why-do-i-need-to-try-u8u8
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from onnxruntime.transformers.float16 import convert_float_to_float16

from training.data import Arrays

PRODUCTS = ("Conv", "Gemm", "MatMul")
WEIGHTED = (*PRODUCTS, "Gather")
"""Operations whose weights are quantised."""
BETWEEN = ("Relu", "MaxPool", "Reshape", "Flatten", "Add")
"""Operations that pass integers on to such ones."""


def fused(model: bytes) -> bytes:
    """Return a model with constants folded and operations joined (batch normalisation into convolutions, ...).

    What remains are standard operations, for any processor and any runtime; ONNX Runtime fuses further for the
    processor at hand when it loads them.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC

    def write(path: Path) -> None:
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    made = onnx.load_from_string(_written(write))
    used = {node.domain for node in made.graph.node}
    kept = [each for each in made.opset_import if each.domain in used]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    return made.SerializeToString()


def int8(model: bytes, batches: Iterable[Arrays]) -> bytes:
    """Return a model whose weights and activations have 8 bits.

    Args:
        model: fused.
        batches: rows of its inputs, on which the activations' ranges are measured.
    """
    original = _ready(model)
    made = _written(
        lambda path: quantize_static(
            original,
            path,
            _Rows(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*WEIGHTED, *BETWEEN],
            nodes_to_exclude=_outside(original.graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    )
    return _with_float_ends(onnx.load_from_string(made), onnx.load_from_string(model)).SerializeToString()


def int8_dynamic(model: bytes) -> bytes:
    """Return a model whose matrix products have 8 bits, by the ranges that each call's rows have."""
    original = _ready(model)
    return _written(
        lambda path: quantize_dynamic(
            original,
            path,
            op_types_to_quantize=["Gemm", "MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    )


def float16(model: bytes) -> bytes:
    """Return a model that computes in float16."""
    made = ONNXModel(convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True))
    made.topological_sort()  # casts of the inputs were put last
    return made.model.SerializeToString()


class _Rows(CalibrationDataReader):
    def __init__(self, batches: Iterable[Arrays]) -> None:
        self._batches: Iterator[Arrays] = iter(batches)

    def get_next(self) -> dict | None:
        """Return the next batch."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        write(path)
        return path.read_bytes()


def _ready(model: bytes) -> onnx.ModelProto:
    """Return a model that says that it was prepared to be quantised: it is fused."""
    ready = onnx.load_from_string(model)
    add_pre_process_metadata(ready)
    return ready


def _outside(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the operations that stand not between two of those with weights, but before or after all."""
    makes = {name: node for node in graph.node for name in node.output}
    leads: set[str] = set()  # to one with weights; nodes are sorted, so whoever reads comes later
    comes: set[str] = set()  # from one
    for node in graph.node:
        before = [makes[name] for name in node.input if name in makes]
        if any(each.op_type in WEIGHTED or each.output[0] in comes for each in before):
            comes.add(node.output[0])
    readers = _readers(graph)
    for node in reversed(graph.node):
        after = [reader for name in node.output for reader in readers.get(name, [])]
        if any(each.op_type in WEIGHTED or each.output[0] in leads for each in after):
            leads.add(node.output[0])
    return [node.name for node in graph.node if node.op_type in BETWEEN and node.output[0] not in comes & leads]


def _with_float_ends(made: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Take out quantisations of which nothing but floats are made: those results keep all their digits.

    One whose limits also stand for the activation after the operation (Relu, Clip) stays.
    """
    graph, readers = made.graph, _readers(made.graph)
    limited = {node.input[0] for node in original.graph.node if node.op_type in ("Relu", "Clip")}
    products = {node.output[0] for node in graph.node if node.op_type in PRODUCTS} - limited
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in products]:
        after = readers.get(node.output[0], [])
        users = [user for each in after for user in readers.get(each.output[0], [])]
        if users and all(user.op_type not in (*WEIGHTED, *BETWEEN) for user in users):
            floats = {each.output[0] for each in after}
            for user in users:
                user.input[:] = [node.input[0] if name in floats else name for name in user.input]
            for gone in (node, *after):
                graph.node.remove(gone)
    del graph.value_info[:]  # shapes, which follow from the inputs'
    used = {name for node in graph.node for name in node.input}
    for unused in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(unused)
    return made


def _readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the operations that read each result."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers
