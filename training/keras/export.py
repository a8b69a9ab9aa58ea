"""The forms of a trained Keras network: ONNX, which is served; SavedModel and TensorFlow Lite, for whoever wants them.

All have the schema's inputs by name and its one output. Each is run on recorded rows
(:mod:`training.reference`) and compared with the network, so a wrong export cannot pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from contract import keys
from contract.errors import TrainingFailed
from contract.manifest import Schema
from training import archive, reference
from training.data import Arrays
from training.recipes import Recipe

OPSET = 18
SIGNATURE = "serving_default"  # of the SavedModel, as TensorFlow Serving expects it
REFERENCE_ROWS = 64
TOLERANCE = 1e-4  # in the schema's scale
Answer = Callable[[Arrays], NDArray[np.float32]]


def write(folder: Path, network: keras.Model, recipe: Recipe, schema: Schema, rows: Arrays) -> dict[str, float]:
    """Write all forms and what the network answers to ``rows``; return each form's largest difference from it.

    Args:
        folder: of the model archive.
        network: trained, in float32, of no strategy.
        recipe: turns its outputs into answers.
        schema: names inputs and output.
        rows: some rows; the one of which nothing is known is added.

    Raises:
        TrainingFailed: when a form answers otherwise than the network.
    """
    nothing = reference.blank(schema)
    asked = {tensor.name: np.concatenate([rows[tensor.name], nothing[tensor.name]]) for tensor in schema.inputs}
    serve = _answering(network, recipe, schema)
    truth = serve(*(tf.convert_to_tensor(asked[tensor.name]) for tensor in schema.inputs))[schema.output].numpy()
    reference.write(folder / keys.MODEL_REFERENCE, asked, truth, schema)
    _write_saved_model(folder / keys.MODEL_SAVED, network, serve)
    _write_onnx(folder / keys.MODEL_ONNX, serve, schema)
    _write_tflite(folder)
    forms = {"saved_model": open_saved_model(folder, schema), "tflite": open_tflite(folder, schema)}
    parity = {name: float(np.abs(form(asked) - truth).max()) / schema.scale for name, form in forms.items()}
    for name, value in parity.items():
        if not value <= TOLERANCE:
            raise TrainingFailed(
                f"the {name} form differs from the trained network by {value:.3g}; allowed are {TOLERANCE:g}"
            )
    return parity


def _answering(network: keras.Model, recipe: Recipe, schema: Schema) -> Any:
    """Return the served function: the schema's inputs, in order, to ``{output: answers}``."""
    names = [tensor.name for tensor in schema.inputs]

    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {schema.output: recipe.answer(network(dict(zip(names, inputs, strict=True)), training=False), schema)}

    return tf.function(serve, input_signature=_signature(schema))


def _signature(schema: Schema) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.name) for tensor in schema.inputs]


def _write_saved_model(folder: Path, network: keras.Model, serve: Any) -> None:
    module = tf.Module()
    module.network = network  # tracked, so that its variables are saved
    tf.saved_model.save(module, str(folder), signatures=serve)


def _write_onnx(path: Path, serve: Any, schema: Schema) -> None:
    model, _ = tf2onnx.convert.from_function(serve, input_signature=_signature(schema), opset=OPSET)
    path.write_bytes(model.SerializeToString())


def _write_tflite(folder: Path) -> None:
    # Of the loaded signature, whose variables are frozen: from the folder, they would stay variables that
    # nothing on the device fills.
    loaded = tf.saved_model.load(str(folder / keys.MODEL_SAVED))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([loaded.signatures[SIGNATURE]], loaded)
    (folder / keys.MODEL_TFLITE).write_bytes(converter.convert())


def open_saved_model(folder: Path, schema: Schema) -> Answer:
    """Return what the SavedModel in a model's folder answers."""
    loaded = tf.saved_model.load(str(folder / keys.MODEL_SAVED))
    signature = loaded.signatures[SIGNATURE]

    def answer(rows: Arrays) -> NDArray[np.float32]:
        assert loaded  # its variables die with it
        inputs = {tensor.name: tf.convert_to_tensor(rows[tensor.name]) for tensor in schema.inputs}
        return signature(**inputs)[schema.output].numpy()

    return answer


def open_tflite(folder: Path, schema: Schema) -> Answer:
    """Return what the TensorFlow Lite file in a model's folder answers, as a device would ask it: by signature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a package of its own will replace it; the image has none
        interpreter = tf.lite.Interpreter(str(folder / keys.MODEL_TFLITE))
    runner = interpreter.get_signature_runner()

    def answer(rows: Arrays) -> NDArray[np.float32]:
        assert interpreter  # the runner works only while it lives
        return runner(**{tensor.name: rows[tensor.name] for tensor in schema.inputs})[schema.output]

    return answer


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of the forms, by path in the archive; the recorded answers are not served."""
    files = [folder / keys.MODEL_ONNX, folder / keys.MODEL_TFLITE, *(folder / keys.MODEL_SAVED).rglob("*")]
    return {str(path.relative_to(folder)): archive.sha256(path) for path in files if path.is_file()}
