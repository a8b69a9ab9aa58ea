"""What may be sent to this model: the answer to ``GET /`` and ``GET /schema``."""

from __future__ import annotations

from typing import Any

from contract.manifest import Feature
from contract.parsing import to_dict
from serving.model import Model
from serving.responses import ENCODERS

MAX_VALUES = 100  # of a vocabulary


def describe(model: Model) -> dict[str, Any]:
    """Return the signature, the formats and a request that works."""
    manifest = model.manifest
    return {
        "model": {"run": manifest.run, "recipe": manifest.recipe, "form": manifest.form},
        "task": manifest.schema.task,
        "target": manifest.schema.target,
        "labels": list(manifest.schema.labels),
        "features": [_feature(feature) for feature in manifest.schema.features],
        "inputs": to_dict(manifest.schema.inputs),
        "content_types": list(model.reader.decoders),
        "accept": list(ENCODERS),
        "example": {"instances": [model.reader.example()]},
    }


def _feature(feature: Feature) -> dict[str, Any]:
    described: dict[str, Any] = {"name": feature.name, "kind": feature.kind}
    if feature.kind == "category":
        described["values"] = list(feature.vocabulary[:MAX_VALUES])
        described["values_total"] = len(feature.vocabulary)
    return described
