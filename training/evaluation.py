"""What an evaluation job is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contract import keys
from contract.manifest import ModelManifest, Schema
from contract.request import RunRequest
from training import archive, recipes
from training.container import Container
from training.data import LABEL, Split, fingerprint, read_schema
from training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the job was given."""

    request: RunRequest
    recipe: Recipe
    model: Path  # folder of the unpacked model.tar.gz of training
    manifest: ModelManifest
    rows: Mapping[str, NDArray]  # held out
    originals: Path  # folder of those rows as they were uploaded
    train: Split
    prepared: Schema  # of these rows; that of a model that was continued has statistics of earlier ones

    @property
    def labels(self) -> NDArray:
        """The held-out rows' true classes or values."""
        return self.rows[LABEL]

    def metrics(self, answers: NDArray[np.floating]) -> dict[str, float]:
        """Return the metrics of answers to the held-out rows."""
        return self.recipe.metrics(answers, self.rows, self.manifest.schema)


def read(container: Container, scratch: Path) -> Inputs:
    """Return the job's inputs; the model is unpacked below ``scratch``."""
    request = RunRequest.from_dict(json.loads((container.processing_input("request") / keys.REQUEST).read_text()))
    dataset = container.processing_input("dataset")
    manifest = archive.unpack(container.processing_input("model") / Path(keys.MODEL).name, scratch)
    manifest = replace(
        manifest,
        tenant=request.tenant,
        project=request.project,
        run=request.run,
        lineage={**manifest.lineage, **_lineage(request, container)},
    )
    return Inputs(
        request=request,
        recipe=recipes.load(manifest.recipe),
        model=scratch,
        manifest=manifest,
        rows=Split(dataset / "test").everything(),
        originals=dataset / Path(keys.DATASET_ORIGINALS).name,
        train=Split(dataset / "train"),
        prepared=read_schema(dataset),
    )


def _lineage(request: RunRequest, container: Container) -> dict[str, str]:
    """Return what the model came from, as far as this job knows."""
    code = [archive.sha256(path) for path in container.processing_input("code").glob("*.gz")]
    return {
        "upload": request.upload.uri,
        "upload_version": request.upload.version_id,
        "dataset": fingerprint(container.processing_input("dataset")),
        "onnxruntime": onnxruntime.__version__,
        **({"code": code[0]} if code else {}),
    }
