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

WIDTH, DENSE = 32, 128  # as in training.vision, which needs torch


def convolutions(schema: Schema, options: image.Options) -> keras.Model:
    """Return the network ``small`` or ``deep`` of :mod:`training.vision`, over normalised pixels."""
    inputs = _inputs(schema)
    statistics = schema.features[0].statistics
    std = statistics["std"] or 1.0
    pixels = layers.Rescaling(1 / std, -statistics["mean"] / std, name="pixels")(inputs[image.IMAGE])
    make = {"small": _small, "deep": _deep}[options.network]
    return _model(inputs, make(pixels, options.width or WIDTH), schema)


def _small(image: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Two blocks of convolution and pooling, then a hidden layer of 128 units."""
    for block in (1, 2):
        image = _halved(image, block * width, block, odd=True)
    return layers.Dense(DENSE, activation="relu", name="hidden")(layers.Flatten(name="flatten")(image))


def _deep(image: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Blocks of convolution and pooling until 2 or 3 pixels are left, each with twice the filters (at most 8 x)."""
    block = 1
    while image.shape[1] > 3:
        image = _halved(image, width * min(2 ** (block - 1), 8), block)
        block += 1
    return layers.Flatten(name="flatten")(image)


def _halved(image: keras.KerasTensor, filters: int, block: int, *, odd: bool = False) -> keras.KerasTensor:
    """Convolve and pool; an odd last row of pixels is kept where ``odd``."""
    image = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"convolution_{block}")(image)
    return layers.MaxPooling2D(2, padding="same" if odd else "valid", name=f"pool_{block}")(image)


def perceptron(schema: Schema, options: tabular.Columns) -> keras.Model:
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
    before = -np.cumsum([0, *codes[:-1]])  # subtracted: Keras adds a row as a bias, which Lite cannot do with codes
    table = layers.Embedding(sum(codes), size, name="embedding")
    return layers.Reshape((len(codes) * size,), name="categories")(table(category - before))
