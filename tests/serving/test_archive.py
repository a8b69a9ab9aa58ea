"""Which model folders the server refuses to start with, and why."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from contract.errors import InvalidModel
from contract.manifest import Schema, Tensor
from serving.archive import read_manifest
from serving.model import load
from tests.serving import archives


def edit(archive: Path, **changes: object) -> None:
    path = archive / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_whole_archive_is_read(archive: Path) -> None:
    assert read_manifest(archive).schema == archives.CREDIT
    assert load(archive).labels == ("bad", "good")


def test_an_altered_file_is_named_with_both_digests(archive: Path) -> None:
    path = archive / "model.onnx"
    right = archives.sha256(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InvalidModel, match=rf"model.onnx was altered.*{archives.sha256(path)}.*{right}"):
        read_manifest(archive)


def test_a_missing_file_is_named(archive: Path) -> None:
    (archive / "weights.safetensors").unlink()
    with pytest.raises(InvalidModel, match=r"lacks files.*weights\.safetensors"):
        read_manifest(archive)


@pytest.mark.parametrize("name", ["model.pkl", "code/inference.py", ".hidden"])
def test_a_file_that_the_manifest_does_not_list_is_refused(archive: Path, name: str) -> None:
    (archive / name).parent.mkdir(exist_ok=True)
    (archive / name).write_bytes(pickle.dumps("payload"))
    with pytest.raises(InvalidModel, match=f"does not list: {name}"):
        read_manifest(archive)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_pickle_is_refused_even_if_listed_or_under_another_name(archive: Path, name: str) -> None:
    (archive / name).write_bytes(pickle.dumps({"weights": [1, 2]}) if name != "weights.pt" else b"PK\3\4")
    edit(archive, files={p.name: archives.sha256(p) for p in archive.iterdir() if p.name != "manifest.json"})
    with pytest.raises(InvalidModel, match=f"{name} is a pickle"):
        read_manifest(archive)


def test_a_link_out_of_the_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    (archive / "model.onnx").rename(outside)
    (archive / "model.onnx").symlink_to(outside)
    with pytest.raises(InvalidModel, match=r"model\.onnx is a link"):
        read_manifest(archive)


def test_a_listed_name_that_leads_out_of_the_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    files = json.loads((archive / "manifest.json").read_text())["files"]
    edit(archive, files={**files, "../secret": archives.sha256(tmp_path / "secret")})
    with pytest.raises(InvalidModel, match=r"lacks files.*secret"):
        read_manifest(archive)


def test_another_format_is_refused_with_the_remedy(archive: Path) -> None:
    edit(archive, format=2)
    with pytest.raises(InvalidModel, match="format 2; this server reads format 1"):
        read_manifest(archive)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "holds a list"), ("[" * 100_000, "not JSON"), ('{"format": 1}', "tenant")],
)
def test_a_damaged_manifest_is_refused(archive: Path, text: str, message: str) -> None:
    (archive / "manifest.json").write_text(text)
    with pytest.raises(InvalidModel, match=message):
        read_manifest(archive)


def test_an_absent_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="does not exist"):
        read_manifest(tmp_path)


def test_a_manifest_without_a_model_is_refused(archive: Path) -> None:
    edit(archive, files={})
    with pytest.raises(InvalidModel, match=r"lists no model\.onnx"):
        read_manifest(archive)


def test_bytes_that_are_no_onnx_are_refused(archive: Path) -> None:
    (archive / "model.onnx").write_bytes(b"not a model")
    edit(archive, files={p.name: archives.sha256(p) for p in archive.iterdir() if p.name != "manifest.json"})
    with pytest.raises(InvalidModel, match=r"cannot load model\.onnx"):
        load(archive)


def test_inputs_that_differ_from_the_manifest_are_refused(tmp_path: Path) -> None:
    other = archives.network(archives.image_schema())
    with pytest.raises(InvalidModel, match=r"takes \['image'\], the manifest says \['category', 'numeric'\]"):
        load(archives.write(tmp_path, archives.CREDIT, other))


def test_an_input_of_another_size_is_refused(tmp_path: Path) -> None:
    other = archives.network(archives.image_schema(height=5))
    with pytest.raises(InvalidModel, match=r"'image'.*uint8.*\[-1, 4, 3, 1\]"):
        load(archives.write(tmp_path, archives.image_schema(), other))


def test_an_output_with_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    other = archives.network(archives.image_schema(labels=("0", "1", "2")))
    with pytest.raises(InvalidModel, match=r"float32 \[1, 3\] to its first row; expected float32 \[1, 2\]"):
        load(archives.write(tmp_path, archives.image_schema(), other))


def test_a_model_that_answers_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"fails on its first row.*not finite"):
        load(archives.write(tmp_path, archives.image_schema(), nan_network()))


def test_features_that_do_not_fit_the_inputs_are_refused(tmp_path: Path) -> None:
    wide = Tensor(name="numeric", dtype="float32", shape=(-1, 7))
    schema = archives.CREDIT.__class__(**{**vars(archives.CREDIT), "inputs": (wide, archives.CREDIT.inputs[1])})
    with pytest.raises(InvalidModel, match="its features would need"):
        load(archives.write(tmp_path, schema))


def nan_network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["probabilities"]),
    ]
    weights = helper.make_tensor("weights", TensorProto.FLOAT, (12, 2), np.full(24, np.nan, np.float32))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 4, 3, 1])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph(nodes, "nan", [image], [answer], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def edited(folder: Path, edit: Callable[[onnx.ModelProto], object], schema: Schema = archives.CREDIT) -> Path:
    """An archive whose model was changed before its checksum was taken, as whoever made it can."""
    model = archives.network(schema)
    edit(model)
    return archives.write(folder, schema, model)


def weights(model: onnx.ModelProto) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == "weights")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = weights(model)
        array = onnx.numpy_helper.to_array(tensor).copy()
        array[0, 0] = value
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, "weights"))

    with pytest.raises(InvalidModel, match=r"model\.onnx fails on its first row: .* not finite"):
        load(edited(tmp_path, poison))


def table_of_codes(poisoned: int | None = None, codes: int = 4) -> onnx.ModelProto:
    """A model that looks a category up in a table of ``codes`` rows."""
    table = np.ones((codes, 2), np.float32) / 2
    if poisoned is not None:
        table[poisoned] = np.nan
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "category"], ["found"], axis=0),
            helper.make_node("ReduceMean", ["found"], ["probabilities"], axes=[1], keepdims=0),
        ],
        "codes",
        [helper.make_tensor_value_info("category", TensorProto.INT64, ["n", 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


JOBS = archives.table_schema(archives.JOB)


def test_one_poisoned_row_of_a_table_of_codes_is_found(tmp_path: Path) -> None:
    assert load(archives.write(tmp_path / "good", JOBS, table_of_codes())).labels == archives.LABELS
    with pytest.raises(InvalidModel, match=r"fails on rows of every code: .* not finite"):
        load(archives.write(tmp_path / "bad", JOBS, table_of_codes(poisoned=3)))


def test_a_manifest_with_more_codes_than_the_model_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"fails on rows of every code: .*out of"):
        load(archives.write(tmp_path, JOBS, table_of_codes(codes=3)))


@pytest.mark.parametrize("location", ["../outside.bin", "weights.safetensors", "absent.bin"])
def test_weights_outside_the_model_file_are_read_from_the_archive_alone(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside.bin").write_bytes(np.ones((3, 2), np.float32).tobytes())

    def move_out(model: onnx.ModelProto) -> None:
        tensor = weights(model)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="length", value="24")

    with pytest.raises(InvalidModel, match=r"cannot load model\.onnx"):
        load(edited(tmp_path / "model", move_out))


def test_operators_that_onnx_does_not_have_are_refused(tmp_path: Path) -> None:
    def invent(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = "PyOp", "ai.onnx.contrib"

    with pytest.raises(InvalidModel, match=r"cannot load model\.onnx"):
        load(edited(tmp_path, invent))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["bad"]}, "a column a label"),
        (
            {"task": "regression", "metric": "rmse", "statistics": {"mean": 1, "std": 1}},
            "expected one output, 'values'",
        ),
        ({"features": []}, "no features"),
        ({"inputs": []}, "the manifest's inputs are"),
        ({"task": "clustering"}, "manifest.json is damaged: .*task"),
    ],
)
def test_a_manifest_that_lies_about_the_model_is_refused(
    archive: Path, changes: dict[str, object], message: str
) -> None:
    schema = json.loads((archive / "manifest.json").read_text())["schema"]
    edit(archive, schema={**schema, **changes})
    with pytest.raises(InvalidModel, match=message):
        load(archive)
