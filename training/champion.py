"""The version in service, on the challenger's held-out rows.

The champion may have been learned from other columns, vocabularies, classes or image
sizes. Rows are turned into its inputs by name, its classes into ours by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import keys
from contract.manifest import Feature, Schema
from training import archive, optimise, pixels

Arrays = Mapping[str, NDArray]


class CannotRead(Exception):
    """The champion cannot read these rows; the message says why."""


def predict(package: Path, folder: Path, rows: Arrays, schema: Schema) -> NDArray[np.float32]:
    """Return the champion's probabilities of our classes, and then of those that only it knows.

    Args:
        package: its model.tar.gz.
        folder: where to unpack it.
        rows: the challenger's held-out rows.
        schema: the challenger's schema.

    Raises:
        CannotRead: when these rows lack what it needs, or share no class with it.
        InvalidModel: when the archive is damaged.
    """
    theirs = archive.unpack(package, folder).schema
    unknown = [label for label in theirs.labels if label not in schema.labels]
    if len(unknown) == len(theirs.labels):
        raise CannotRead("the champion knows none of these classes")
    session = optimise.open_session((folder / keys.MODEL_ONNX).read_bytes())
    probabilities = optimise.predict(session, translate(rows, ours=schema, theirs=theirs), theirs)
    columns = [*schema.labels, *unknown]
    ours = np.zeros((len(probabilities), len(columns)), np.float32)
    ours[:, [columns.index(label) for label in theirs.labels]] = probabilities
    return ours


def translate(rows: Arrays, *, ours: Schema, theirs: Schema) -> dict[str, NDArray]:
    """Return our rows as the champion's inputs.

    Raises:
        CannotRead: when it needs a feature that we have not, or have as another kind.
    """
    known = {feature.name: feature for feature in ours.features}
    for feature in theirs.features:
        if feature.name not in known:
            raise CannotRead(f"the champion needs {feature.name!r}, which these rows do not have")
        if known[feature.name].kind != feature.kind:
            raise CannotRead(
                f"{feature.name!r} is a {feature.kind} to the champion and a {known[feature.name].kind} here"
            )
    shapes = {tensor.name: tensor.shape for tensor in theirs.inputs}
    if "image" in shapes:
        _, height, width, channels = shapes["image"]
        return {"image": pixels.resize(rows["image"], height=height, width=width, channels=channels)}
    translated: dict[str, NDArray] = {}
    if "numeric" in shapes:
        places = _places(ours, "number")
        translated["numeric"] = rows["numeric"][:, [places[f.name] for f in _of_kind(theirs, "number")]]
    if "category" in shapes:
        places = _places(ours, "category")
        columns = [_recode(rows["category"][:, places[f.name]], known[f.name], f) for f in _of_kind(theirs, "category")]
        translated["category"] = np.stack(columns, axis=1)
    return translated


def _of_kind(schema: Schema, kind: str) -> list[Feature]:
    return [feature for feature in schema.features if feature.kind == kind]


def _places(schema: Schema, kind: str) -> dict[str, int]:
    return {feature.name: place for place, feature in enumerate(_of_kind(schema, kind))}


def _recode(codes: NDArray[np.int64], ours: Feature, theirs: Feature) -> NDArray[np.int64]:
    """Return our codes as the champion's: the same words; what it does not know is 0."""
    of_word = {word: code for code, word in enumerate(theirs.vocabulary, start=1)}
    return np.array([0, *(of_word.get(word, 0) for word in ours.vocabulary)], np.int64)[codes]
