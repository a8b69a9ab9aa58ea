"""What a Keras job leaves: every form answers as the network does, and Evaluate needs no TensorFlow to judge it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from contract import keys, metrics
from contract.forms import FLOAT32, INT8, TFLITE
from contract.manifest import ModelManifest
from tests.training.builders import evaluation_job, start
from training import archive, optimise, recipes, reference
from training.data import read_schema

PARITY = 1e-5

WITHOUT_TENSORFLOW = """
import sys

sys.modules["tensorflow"] = sys.modules["keras"] = None
from training import evaluate

evaluate.main()
"""


def test_the_archive_says_what_it_holds(trained: tuple[Path, Path]) -> None:
    out, base = trained
    manifest = archive.read_manifest(base / "model")  # checks every sha256
    assert {keys.MODEL_ONNX, keys.MODEL_TFLITE, f"{keys.MODEL_SAVED}/saved_model.pb"} <= manifest.files.keys()
    assert manifest.schema == read_schema(out / Path(keys.DATASET_SCHEMA).parent)
    assert manifest.lineage["tensorflow"]
    history = [json.loads(line) for line in (base / "model" / keys.MODEL_METRICS).read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 7))
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]
    assert history[0].keys() == {*metrics.COMMON, f"validation_{manifest.schema.metric}"}


def test_every_form_answers_as_the_network_of_the_weights_does(trained: tuple[Path, Path]) -> None:
    import tensorflow as tf

    from training.keras import checkpoint, export

    model = trained[1] / "model"
    manifest = archive.read_manifest(model)
    schema, recipe = manifest.schema, recipes.load(manifest.recipe)
    network: Any = recipe.network(schema, recipe.parse_options(manifest.options))
    checkpoint.assign(network.variables, load_file(model / keys.MODEL_WEIGHTS))
    rows, recorded = reference.read(model / keys.MODEL_REFERENCE, schema)
    inputs = {name: tf.convert_to_tensor(array) for name, array in rows.items()}
    expected = recipe.answer(network(inputs, training=False), schema).numpy()
    assert np.isfinite(expected).all()
    onnx = optimise.open_session((model / keys.MODEL_ONNX).read_bytes())
    answers = {
        "recorded": recorded,
        "onnx": optimise.predict(onnx, rows, schema),
        "saved model": export.open_saved_model(model, schema)(rows),
        "tflite": export.open_tflite(model, schema)(rows),
    }
    apart = {form: float(np.abs(answer - expected).max()) / schema.scale for form, answer in answers.items()}
    print(apart)
    assert max(apart.values()) <= PARITY, apart


@pytest.mark.parametrize("damage", [False, True])
def test_evaluate_judges_the_served_form_without_tensorflow(
    trained: tuple[Path, Path], damage: bool, tmp_path: Path
) -> None:
    out, base = trained
    job = evaluation_job(tmp_path / "job", out, base)
    if damage:
        _shift_answers(job, read_schema(out / Path(keys.DATASET_SCHEMA).parent).output)
    process = start(job, "-c", WITHOUT_TENSORFLOW)
    output = process.communicate(timeout=120)[0]
    if damage:
        assert "onnx-float32 differs from the trained model by" in output
        return
    assert process.returncode == 0, output
    result = job / "processing/output"
    manifest = archive.unpack(result / Path(keys.MODEL).name, tmp_path / "served")
    assert {f"{keys.MODEL_SAVED}/saved_model.pb", keys.MODEL_TFLITE, keys.MODEL_WEIGHTS} <= manifest.files.keys()
    assert not (tmp_path / "served" / keys.MODEL_REFERENCE).exists()
    report = json.loads((result / Path(keys.EVALUATION_REPORT).name).read_text())
    assert [form["name"] for form in report["forms"]] == [FLOAT32, INT8, TFLITE]
    assert report["forms"][0]["parity"] <= PARITY
    assert report["forms"][2]["bytes"] == (tmp_path / "served" / keys.MODEL_TFLITE).stat().st_size
    assert ModelManifest.from_dict(manifest.to_dict()).form == report["chosen"]


def _shift_answers(job: Path, output: str) -> None:
    """Make the recorded answers others than those of the form."""
    import tarfile

    from safetensors.numpy import save_file

    path = next((job).rglob("model.tar.gz"))
    folder = job / "unpacked"
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
    arrays = load_file(folder / keys.MODEL_REFERENCE)
    arrays[output] = arrays[output] + np.float32(1)
    save_file(arrays, folder / keys.MODEL_REFERENCE)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, ".")
