"""The version in service, on the challenger's held-out rows.

The champion may have been learned from other columns, vocabularies, classes or image
sizes. It is asked the rows as they were uploaded (training.originals) and reads them by
its own schema, as its server would; its classes, or the values that it predicts, become ours by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import keys
from contract.errors import InvalidConfig
from contract.manifest import ModelManifest, Schema
from training import archive, optimise, recipes
from training.recipes import Recipe

BATCH = 1024  # rows that are decoded at a time


class CannotRead(Exception):
    """The champion cannot read these rows; the message says why."""


def predict(
    package: Path, folder: Path, originals: Iterable[bytes], *, schema: Schema, recipe: Recipe, hashed: Collection[str]
) -> NDArray[np.float32]:
    """Return the champion's answers: a column for each of our labels, and then for each class that only it knows.

    Args:
        package: its model.tar.gz.
        folder: where to unpack it.
        originals: the held-out rows as they were uploaded.
        schema: the challenger's schema.
        recipe: the challenger's recipe.
        hashed: the columns that are hashed in these rows.

    Raises:
        CannotRead: when these rows lack what it needs, or it answers another question.
        InvalidModel: when the archive is damaged.
    """
    manifest = archive.unpack(package, folder)
    theirs = manifest.schema
    reader = _reader(manifest, recipe)
    _check_hashed(theirs, hashed)
    unknown = _unknown(theirs, schema)
    session = optimise.open_session((folder / keys.MODEL_ONNX).read_bytes())
    parts = [optimise.predict(session, inputs, theirs) for inputs in _inputs(originals, reader, theirs)]
    answers = np.concatenate(parts)
    columns = [*schema.labels, *unknown]
    ours = np.zeros((len(answers), len(columns)), np.float32)
    ours[:, [columns.index(label) for label in theirs.labels]] = answers
    return ours


def _unknown(theirs: Schema, ours: Schema) -> list[str]:
    """Return the classes that only the champion knows.

    Raises:
        CannotRead: when its answers cannot be held against ours.
    """
    if theirs.task != ours.task:
        raise CannotRead(f"the champion learned {theirs.task}, this model {ours.task}")
    if ours.task == "regression" and set(theirs.labels) != set(ours.labels):
        one, other = (", ".join(map(repr, schema.labels)) for schema in (theirs, ours))
        raise CannotRead(f"the champion predicts {one}, this model {other}")
    unknown = [label for label in theirs.labels if label not in ours.labels]
    if len(unknown) == len(theirs.labels):
        raise CannotRead("the champion knows none of these classes")
    return unknown


def _reader(manifest: ModelManifest, recipe: Recipe) -> Recipe:
    """Return the champion's recipe, if it reads uploads like these."""
    try:
        theirs = recipes.load(manifest.recipe)
    except InvalidConfig as error:
        raise CannotRead(f"the champion was learned with a recipe that is gone: {error}") from error
    if theirs.reader != recipe.reader:
        raise CannotRead(f"the champion reads {theirs.reader}, these rows are {recipe.reader}")
    return theirs


def _check_hashed(theirs: Schema, hashed: Collection[str]) -> None:
    """Refuse a column whose values are hashes to one and text to the other: no word would be known."""
    for feature in theirs.features:
        if feature.hashed != (feature.name in hashed):
            learned, here = ("hashes", "text") if feature.hashed else ("text", "hashes")
            raise CannotRead(f"the champion learned {feature.name!r} from {learned}; [privacy] makes it {here} now")


def _inputs(originals: Iterable[bytes], reader: Recipe, schema: Schema) -> Iterator[Mapping[str, NDArray]]:
    rest = iter(originals)
    while batch := list(itertools.islice(rest, BATCH)):
        try:
            yield reader.encode(batch, schema)
        except ValueError as error:
            raise CannotRead(f"the champion cannot read these rows: {error}") from error
