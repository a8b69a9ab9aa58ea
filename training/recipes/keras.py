"""Classifies images with a small convolutional network in Keras: ``image``, in TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract.manifest import Schema
from contract.parsing import setting
from contract.recipes import Throughput
from training.keras.recipe import KerasRecipe
from training.recipes import image


@dataclass(frozen=True, kw_only=True)
class Options(image.Options):
    """The recipe's own settings."""

    network: str = setting(
        "small: two blocks of convolution and pooling, and a hidden layer of 128; deep: as many blocks as the image's "
        "size allows.",
        default="deep", choices=("small", "deep"),
    )  # fmt: skip
    width: int = setting(
        "Filters of the first block; further ones have more. 0 is the network's own: 32.",
        default=0, minimum=0, maximum=512,
    )  # fmt: skip


class Keras(KerasRecipe, image.Image):
    """The recipe."""

    summary = "Classifies images with a small convolutional network in Keras (TensorFlow)."
    when = "Images, where the model is wanted as a SavedModel or for TensorFlow Lite too, or the team knows Keras."
    examples = "keras"
    options: type = Options
    throughput = Throughput(
        samples_per_second=8300.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def network(self, schema: Schema, options: Any) -> Any:
        """Return a ``keras.Model``: the chosen one of training.keras.networks."""
        from training.keras import networks

        return networks.convolutions(schema, options)


RECIPE = Keras()
