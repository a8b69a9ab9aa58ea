"""Small model archives, made with onnx's helper: a linear model on pixels, and one on a table."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from contract.parsing import to_dict

AGE = Feature(name="age", kind="number", statistics={"mean": 40.0})
INCOME = Feature(name="monthly income", kind="number", statistics={"mean": 2500.0})
JOB = Feature(name="job", kind="category", vocabulary=("clerk", "nurse", "Zoë"))
LABELS = ("bad", "good")


def image_schema(height: int = 4, width: int = 3, channels: int = 1, labels: tuple[str, ...] = ("0", "1")) -> Schema:
    return Schema(
        task="classification",
        inputs=(Tensor(name="image", dtype="uint8", shape=(-1, height, width, channels)),),
        features=(Feature(name="image", kind="image"),),
        labels=labels,
        target="label",
    )


def table_schema(*features: Feature, labels: tuple[str, ...] = LABELS) -> Schema:
    numbers = sum(feature.kind != "category" for feature in features)
    categories = len(features) - numbers
    inputs = [Tensor(name="numeric", dtype="float32", shape=(-1, numbers))] if numbers else []
    inputs += [Tensor(name="category", dtype="int64", shape=(-1, categories))] if categories else []
    return Schema(task="classification", inputs=tuple(inputs), features=features, labels=labels, target="credit status")


def values_schema(*features: Feature, label: str) -> Schema:
    """The signature of a model that predicts a value."""
    statistics = {"mean": 20.0, "std": 5.0, "min": 1.0, "max": 60.0}
    schema = table_schema(*features, labels=(label,))
    return replace(schema, task="regression", metric="rmse", target=label, statistics=statistics)


CREDIT = table_schema(AGE, JOB, INCOME)


def network(schema: Schema, *, seed: int = 1, repeat: int = 0) -> onnx.ModelProto:
    """A random linear map of the inputs, softmax of it for classes; NaN counts as 0.5. ``repeat`` adds idle work."""
    random = np.random.default_rng(seed)
    nodes, constants, flat, width = [], [numpy_helper.from_array(np.array(0.5, np.float32), "missing")], [], 0
    for tensor in schema.inputs:
        name = tensor.name
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("IsNaN", [f"{name}_float"], [f"{name}_nan"]),
            helper.make_node("Where", [f"{name}_nan", "missing", f"{name}_float"], [f"{name}_whole"]),
            helper.make_node("Flatten", [f"{name}_whole"], [f"{name}_flat"]),
        ]
        flat.append(f"{name}_flat")
        width += int(np.prod(tensor.shape[1:]))
    weights = random.normal(size=(width, len(schema.labels))).astype(np.float32) / 100
    constants += [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(random.normal(size=len(schema.labels)).astype(np.float32), "bias"),
    ]
    nodes += [
        helper.make_node("Concat", flat, ["row"], axis=1),
        helper.make_node("Gemm", ["row", "weights", "bias"], ["logits"]),
        *_idle_work(constants, repeat),
        helper.make_node(
            "Softmax" if schema.task == "classification" else "Identity",
            ["tired" if repeat else "logits"],
            [schema.output],
        ),
    ]
    types = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(t.name, types[t.dtype], ["n", *t.shape[1:]]) for t in schema.inputs],
        [helper.make_tensor_value_info(schema.output, TensorProto.FLOAT, ["n", len(schema.labels)])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _idle_work(constants: list[onnx.TensorProto], repeat: int) -> list[onnx.NodeProto]:
    """``repeat`` products of large matrices that depend on the input, then multiplied by zero and added."""
    if not repeat:
        return []
    size = 700
    constants += [
        numpy_helper.from_array(np.eye(size, dtype=np.float32), "eye"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    nodes = [
        helper.make_node("ReduceMax", ["logits"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["eye", "largest"], ["work0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"work{i}", "eye"], [f"work{i + 1}"]) for i in range(repeat)]
    return [
        *nodes,
        helper.make_node("ReduceMax", [f"work{repeat}"], ["worked"], keepdims=0),
        helper.make_node("Mul", ["worked", "zero"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["tired"]),
    ]


def write(folder: Path, schema: Schema, model: onnx.ModelProto | None = None, **changes: Any) -> Path:
    """Write an archive as SageMaker unpacks it; ``changes`` override the manifest's fields."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes((model or network(schema)).SerializeToString())
    (folder / "weights.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    manifest = ModelManifest(
        format=FORMAT,
        tenant="acme",
        project="test",
        run="test-0123456789",
        recipe="image" if schema.inputs[0].name == "image" else "tabular",
        options={},
        form="onnx-float32",
        schema=schema,
        files={path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"},
    )
    (folder / "manifest.json").write_text(json.dumps({**to_dict(manifest), **changes}))
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
