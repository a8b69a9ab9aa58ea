"""Classifies images with a small convolutional network in Keras: ``image``, in TensorFlow."""

from __future__ import annotations

from typing import Any

from contract.manifest import Schema
from contract.recipes import Throughput
from training.keras.recipe import KerasRecipe
from training.recipes.image import Image, Options


class Keras(KerasRecipe, Image):
    """The recipe."""

    summary = "Classifies images with a small convolutional network in Keras (TensorFlow)."
    when = "Images, where the model is wanted as a SavedModel or for TensorFlow Lite too, or the team knows Keras."
    examples = "keras"
    throughput = Throughput(
        samples_per_second=9500.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def network(self, schema: Schema, options: Options) -> Any:
        """Return a ``keras.Model``: convolutions that halve the image until 2 or 3 pixels are left, a linear layer."""
        from training.keras import networks

        return networks.convolutions(schema, options)


RECIPE = Keras()
