"""ModelManifest: what is inside model.tar.gz, and how raw values become the model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import InvalidConfig
from contract.metrics import METRICS
from contract.parsing import parse, setting, to_dict

FORMAT = 1
OUTPUTS = {"classification": "probabilities", "regression": "values"}
"""What a model of each task answers: the name of its one ONNX output, float32 [n, labels]."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One named array of the model's signature; the first dimension, -1, is the batch."""

    name: str = setting("Name of the ONNX input or output, and of the array in a shard.")
    dtype: str = setting("Element type.", choices=("uint8", "float32", "int64"))
    shape: tuple[int, ...] = setting("Dimensions; -1 is the batch.")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One thing a row is described by.

    ``number`` fills a column of the tensor ``numeric`` (float32, missing is NaN),
    in the order of the features, and so does each ``part`` of a ``date``, which is a feature of
    its own (contract.dates); ``category`` fills a column of ``category`` (int64: contract.values.category_code);
    ``text`` is the tensor ``text`` (int64, words: contract.values.word_codes); ``image`` is the tensor
    ``image`` (uint8, height x width x channels); ``history`` the tensor ``history``
    (float32, the newest value last, missing is NaN); ``start`` the tensor ``start``
    (int64, seconds since 1970: contract.timeline).

    Preparation and the server turn raw values into these in the same way:

    - Image files: EXIF orientation is applied; transparency is blended onto
      white; 16-bit samples are divided by 257; then grey (Pillow's ``L``) when
      there is one channel, else ``RGB``; then Pillow's ``BILINEAR`` resize where
      the size differs.
    - Text: as :mod:`contract.values` tells.
    """

    name: str = setting("The column's name; 'image' for images.")
    kind: str = setting("What it is.", choices=("number", "date", "category", "text", "image", "history", "start"))
    vocabulary: tuple[str, ...] = setting("Known values of a category, in the order of their codes.", default=())
    buckets: int = setting(
        "Further codes of a category: values that are not known are hashed into them.", default=0, minimum=0
    )
    part: str = setting("Which number of a date it is (contract.dates); empty otherwise.", default="")
    multiple: float | None = setting(
        "[privacy] generalise: numbers are first rounded down to a multiple of it.", default=None
    )
    hashed: bool = setting(
        "[privacy] hash: values are contract.values.HASH; the server never sees the text.", default=False
    )
    statistics: dict[str, float] = setting(
        "Of the training rows: mean, std, min, max, missing (share).", default_factory=dict
    )

    @property
    def codes(self) -> int:
        """How many codes a category has: missing, its vocabulary, its buckets."""
        return 1 + len(self.vocabulary) + self.buckets


@dataclass(frozen=True, kw_only=True)
class Schema:
    """How rows look; schema.json of a dataset and the heart of a manifest."""

    task: str = setting("What is learned.", choices=tuple(OUTPUTS))
    inputs: tuple[Tensor, ...] = setting("The model's inputs.")
    features: tuple[Feature, ...] = setting("What the inputs are made of.")
    labels: tuple[str, ...] = setting(
        "Names of the output's columns, in order: classes, or the values that are predicted (price; t+1, t+2, ...)."
    )
    target: str = setting("Column that is predicted; 'label' for images.")
    metric: str = setting("What gate and tuner compare.", default="accuracy", choices=tuple(METRICS))
    statistics: dict[str, float] = setting(
        "Of the training rows' target, over all its columns (regression): mean, std, min, max.", default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.task not in METRICS[self.metric].tasks:
            fitting = ", ".join(name for name, metric in METRICS.items() if self.task in metric.tasks)
            raise InvalidConfig("schema.metric", self.metric, f"a metric of {self.task}: {fitting}")
        if self.task == "regression" and not {"mean", "std"} <= self.statistics.keys():
            raise InvalidConfig("schema.statistics", self.statistics, "mean and std of the training rows' target")

    @property
    def output(self) -> str:
        """Name of the ONNX model's output."""
        return OUTPUTS[self.task]

    @property
    def scale(self) -> float:
        """What a difference of answers is measured in: 1 of probabilities, the target's deviation of values."""
        return 1.0 if self.task == "classification" else self.statistics["std"] or 1.0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Parse schema.json."""
        return parse(cls, data, "schema")


@dataclass(frozen=True, kw_only=True)
class ModelManifest:
    """manifest.json of a model archive."""

    format: int = setting("Version of this format.", minimum=FORMAT, maximum=FORMAT)
    tenant: str = setting("The team.")
    project: str = setting("The line of models.")
    run: str = setting("The run that made it.")
    recipe: str = setting("What it was learned with.")
    options: dict[str, Any] = setting("The recipe's options, needed to rebuild the network.")
    form: str = setting("The form that is served, e.g. onnx-float32; empty before Evaluate.", default="")
    schema: Schema = setting("Signature, features, labels.")
    metrics: dict[str, float] = setting("On the held-out rows.", default_factory=dict)
    lineage: dict[str, str] = setting(
        "Upload version, dataset fingerprint, code hash, seed, versions.", default_factory=dict
    )
    files: dict[str, str] = setting("sha256 of each other file of the archive, in hex.", default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelManifest:
        """Parse manifest.json."""
        return parse(cls, data, "manifest")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return to_dict(self)
