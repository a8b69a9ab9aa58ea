"""Learns from the rows of a table with a small network in Keras: ``tabular``, in TensorFlow."""

from __future__ import annotations

from typing import Any

from contract.manifest import Schema
from contract.recipes import Throughput
from training.keras.recipe import KerasRecipe
from training.recipes.tabular import Tabular


class KerasTabular(KerasRecipe, Tabular):
    """The recipe."""

    summary = "Learns from the rows of a table with a small network in Keras (TensorFlow)."
    when = "Tables, where the model is wanted as a SavedModel or for TensorFlow Lite too, or the team knows Keras."
    examples = "keras"
    throughput = Throughput(
        samples_per_second=20500.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def network(self, schema: Schema, options: Any) -> Any:
        """Return a ``keras.Model``: a multi-layer perceptron over standardised numbers and embedded categories."""
        from training.keras import networks

        return networks.perceptron(schema, options)


RECIPE = KerasTabular()
