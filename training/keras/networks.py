"""Networks of Keras recipes: what :mod:`training.recipes.image` and ``tabular`` build with torch.

Each takes a dict of the schema's inputs by name, n rows each, as they are in a shard, and returns raw outputs,
float32 [n, labels]. Layers have fixed names: they name the tensors of weights.safetensors.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from contract.manifest import Feature, Schema
from training.recipes import image, tabular
from training.scaling import CLIP, deviation
from training.table import CATEGORY, NUMERIC


def convolutions(schema: Schema, options: image.Options) -> keras.Model:
    """Return convolutions that halve the image until 2 or 3 pixels are left, then a linear layer."""
    inputs = _inputs(schema)
    _, side, _, _ = schema.inputs[0].shape
    statistics = schema.features[0].statistics
    std = statistics["std"] or 1.0
    hidden = layers.Rescaling(1 / std, -statistics["mean"] / std, name="pixels")(inputs[image.IMAGE])
    width, block = options.width, 1
    while side > 3:
        hidden = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"convolution_{block}")(hidden)
        hidden = layers.MaxPooling2D(2, name=f"pool_{block}")(hidden)
        width, side, block = min(2 * width, 8 * options.width), side // 2, block + 1
    return _model(inputs, layers.Flatten(name="flatten")(hidden), schema)


def perceptron(schema: Schema, options: tabular.Options) -> keras.Model:
    """Return a multi-layer perceptron over standardised numbers and embedded categories."""
    inputs = _inputs(schema)
    parts = []
    if NUMERIC in inputs:
        parts += _standardised(inputs[NUMERIC], [f for f in schema.features if f.kind != "category"])
    if CATEGORY in inputs:
        categories = [f for f in schema.features if f.kind == "category"]
        parts.append(_embedded(inputs[CATEGORY], categories, options.embedding))
    hidden = layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
    for number in range(options.layers):
        hidden = layers.Dense(options.hidden, activation="relu", name=f"hidden_{number + 1}")(hidden)
    return _model(inputs, hidden, schema)


def _inputs(schema: Schema) -> dict[str, keras.KerasTensor]:
    return {
        tensor.name: keras.Input(shape=tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
        for tensor in schema.inputs
    }


def _model(inputs: dict[str, keras.KerasTensor], hidden: keras.KerasTensor, schema: Schema) -> keras.Model:
    # float32 whatever the precision: losses and answers are.
    return keras.Model(inputs, layers.Dense(len(schema.labels), dtype="float32", name="outputs")(hidden))


def _standardised(numeric: keras.KerasTensor, features: list[Feature]) -> list[keras.KerasTensor]:
    """Return numbers of mean 0 and deviation 1, and where values are missing that training rows miss too."""
    mean = np.array([feature.statistics["mean"] for feature in features], np.float32)
    std = np.array([deviation(feature.statistics) for feature in features], np.float32)
    missing = ops.not_equal(numeric, numeric)  # NaN; TensorFlow Lite has no other way to ask
    filled = ops.where(missing, mean, numeric)
    parts = [ops.clip((filled - mean) / std, -CLIP, CLIP)]
    gaps = [place for place, feature in enumerate(features) if feature.statistics["missing"] > 0]
    if gaps:
        parts.append(ops.cast(ops.take(missing, np.array(gaps), axis=1), "float32"))
    return parts


def _embedded(category: keras.KerasTensor, features: list[Feature], size: int) -> keras.KerasTensor:
    """Return learned vectors of codes, float32 [n, features x size]; one table for all columns."""
    codes = [feature.codes for feature in features]
    first = np.cumsum([0, *codes[:-1]])
    table = layers.Embedding(sum(codes), size, name="embedding")
    return layers.Reshape((len(codes) * size,), name="categories")(table(category + first))
