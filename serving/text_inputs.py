"""Texts to the array ``text`` (see contract.manifest.Feature)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from contract.errors import InvalidModel, nearest
from contract.manifest import Schema
from contract.values import clean, word_codes, words
from serving.csv_body import read_lines
from serving.errors import Refused, show
from serving.inputs import Arrays
from serving.json_body import read_instances

TEXT = "text"


class TextReader:
    """Reads texts as JSON or CSV. A text without a word that is known is answered too: by what is most frequent."""

    linear = True

    def __init__(self, schema: Schema) -> None:
        tensors = [(tensor.name, tensor.dtype, len(tensor.shape)) for tensor in schema.inputs]
        if len(schema.features) != 1 or tensors != [(TEXT, "int64", 2)]:
            raise InvalidModel(f"the manifest's inputs are {tensors}; a text model has one, int64 [rows, words]")
        (feature,) = schema.features
        self._column, self._target, self._length = feature.name, schema.target, schema.inputs[0].shape[1]
        self._known = {word: code for code, word in enumerate(feature.vocabulary, start=1)}
        self.decoders: dict[str, Callable[[bytes], Arrays]] = {
            "application/json": self.from_json,
            "text/csv": self.from_csv,
        }

    def from_json(self, body: bytes) -> Arrays:
        """Read ``{"instances": [{"column": "a text"}, ...]}``."""
        texts = []
        for index, instance in enumerate(read_instances(body)):
            self._check_columns(instance, f"instances[{index}]")
            texts.append(self._text(instance[self._column], f"instances[{index}].{self._column}"))
        return self._arrays(texts)

    def from_csv(self, body: bytes) -> Arrays:
        """Read a header and rows."""
        lines = read_lines(body)
        self._check_columns(lines.header, "line 1")
        place = lines.header.index(self._column)
        return self._arrays([clean(row[place]) for row in lines.rows])

    def example(self) -> dict[str, Any]:
        """Return a text of the most frequent words."""
        return {self._column: " ".join(list(self._known)[:5])}

    def _arrays(self, texts: list[str]) -> Arrays:
        codes = [word_codes(words(text), self._known, self._length) for text in texts]
        return {TEXT: np.array(codes, np.int64)}

    def _text(self, value: Any, path: str) -> str:
        if value is not None and not isinstance(value, str):
            raise Refused(f"{show(value)} is not allowed; expected a text in quotes, or null where it is missing", path)
        return clean(value)

    def _check_columns(self, given: Collection[str], path: str) -> None:
        """Refuse unknown columns, and the absence of the text; the target may be there and is not looked at."""
        for name in given:
            if name not in (self._column, self._target):
                hint = nearest(name, [self._column]) or "Send the column of texts only."
                raise Refused(f"{show(name)} is no column of this model; it has {self._column}. {hint}", path)
        if self._column not in given:
            raise Refused(f"column {show(self._column)} is absent; it holds the texts", path)
