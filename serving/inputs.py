"""Which formats a model reads: one reader for images, one for tables, one for series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy.typing as npt

from contract.errors import InvalidModel
from contract.manifest import Schema

Arrays = dict[str, npt.NDArray]


class InputReader(Protocol):
    """Turns a request's body into the model's inputs."""

    @property
    def decoders(self) -> Mapping[str, Callable[[bytes], Arrays]]:
        """By content type; each raises :class:`serving.errors.Refused`."""

    @property
    def linear(self) -> bool:
        """Whether a body's length tells what decoding it takes: a small image file may hold many pixels."""

    def example(self) -> dict[str, Any]:
        """Return one instance that the model accepts, as JSON."""


def reader_for(schema: Schema) -> InputReader:
    """Return the reader of the schema's kind.

    Raises:
        InvalidModel: when features and inputs do not describe the same arrays.
    """
    # Tables need no imaging library: it is loaded for the models that do.
    if any(feature.kind == "image" for feature in schema.features):
        from serving.image_inputs import ImageReader

        return ImageReader(schema)
    if any(feature.kind == "history" for feature in schema.features):
        from serving.series_inputs import SeriesReader

        return SeriesReader(schema)
    if any(feature.kind == "text" for feature in schema.features):
        from serving.text_inputs import TextReader

        return TextReader(schema)
    if schema.features:
        from serving.table_inputs import TableReader

        return TableReader(schema)
    raise InvalidModel("the manifest's schema has no features, so no request could be read")
