"""What all Keras recipes share. Importing this needs no TensorFlow: preparation imports the recipes, in Lambda."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.frameworks import TENSORFLOW
from contract.manifest import Schema
from contract.recipes import Search
from training.recipes import Recipe


class KerasRecipe(Recipe):
    """A recipe whose network is a ``keras.Model``, over a dict of the schema's inputs by name.

    Put before another recipe among a class's bases, it takes that one's reader, options and encoding.
    """

    framework = TENSORFLOW
    default_for: tuple[str, ...] = ()  # it needs another image, so it is only taken when it is named
    searches: Mapping[str, Search] = {}
    narrows: tuple[str, ...] = ()  # Evaluate, which makes smaller networks, has no TensorFlow
    prunes = False
    branched: tuple[str, ...] = ()

    def loss(self, outputs: Any, labels: Any, schema: Schema) -> Any:
        """Return the loss of each row, a float32 tensor [n], of the network's outputs [n, labels]."""
        from training.keras import tasks

        return tasks.loss(outputs, labels, schema)

    def answer(self, outputs: Any, schema: Schema) -> Any:
        """Return what the served model answers, a float32 tensor [n, labels]."""
        from training.keras import tasks

        return tasks.answer(outputs, schema)
