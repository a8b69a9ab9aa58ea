"""Rows of a table to the arrays ``numeric`` and ``category`` (see contract.manifest.Feature)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from contract.errors import InvalidModel, nearest
from contract.manifest import Feature, Schema
from serving.csv_body import read_lines
from serving.errors import Refused, show
from serving.inputs import Arrays
from serving.json_body import read_instances
from serving.npy_body import read_array

LARGEST = float(np.finfo(np.float32).max)
# Possessive, so that a long text that is no number is refused in one pass.
_NUMBER = re.compile(r"\s*+[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?\s*+", re.ASCII)


class TableReader:
    """Reads rows as JSON or CSV; as an array too, where every column is a number."""

    def __init__(self, schema: Schema) -> None:
        self._target = schema.target
        self._features = schema.features
        self._columns = {feature.name for feature in schema.features}
        self._numbers = [feature.name for feature in schema.features if feature.kind == "number"]
        self._codes = {feature.name: _codes(feature) for feature in schema.features if feature.kind == "category"}
        self._inputs = {tensor.name for tensor in schema.inputs}
        self._check_schema(schema)
        self.decoders: dict[str, Callable[[bytes], Arrays]] = {
            "application/json": self.from_json,
            "text/csv": self.from_csv,
        }
        if not self._codes:
            self.decoders["application/x-npy"] = self.from_npy

    def from_json(self, body: bytes) -> Arrays:
        """Read ``{"instances": [{"column": value or null}, ...]}``."""
        instances = read_instances(body)
        for index, instance in enumerate(instances):
            self._check_columns(instance, f"instances[{index}]")
        return self._arrays(
            instances, _json_number, _json_category, lambda index, name: f"instances[{index}].{name}"
        )  # fmt: skip

    def from_csv(self, body: bytes) -> Arrays:
        """Read a header and rows; an empty field is a missing value."""
        lines = read_lines(body)
        self._check_columns(lines.header, "line 1")
        rows = [dict(zip(lines.header, row, strict=True)) for row in lines.rows]
        return self._arrays(
            rows, _csv_number, _csv_category, lambda index, name: f"line {lines.numbers[index]}, column {name}"
        )

    def from_npy(self, body: bytes) -> Arrays:
        """Read [rows, columns] in the order of the signature; NaN is a missing value."""
        array = read_array(body)
        if array.ndim != 2 or array.shape[1] != len(self._numbers):
            columns = ", ".join(map(show, self._numbers[:20]))
            raise Refused(
                f"the array's shape is {list(array.shape)}; expected [rows, {len(self._numbers)}], columns {columns}"
            )
        with np.errstate(over="ignore"):  # what overflows is refused in the next line
            numeric = np.ascontiguousarray(array, np.float32)
        wrong = np.argwhere(np.isinf(numeric))
        if len(wrong):
            row, column = map(int, wrong[0])
            path = f"[{row}, {column}]"
            raise Refused(f"{array[row, column]} is not allowed; expected a number that float32 holds, or NaN", path)
        return {"numeric": numeric}

    def example(self) -> dict[str, Any]:
        """Return a row of means and of first categories."""
        return {feature.name: _typical(feature) for feature in self._features}

    def _arrays(
        self,
        rows: Sequence[Mapping[str, Any]],
        number: Callable[[Any], float],
        category: Callable[[Any], str | None],
        where: Callable[[int, str], str],
    ) -> Arrays:
        """Return the arrays of ``rows``; ``where`` says where a value is, for messages."""
        numeric = np.empty((len(rows), len(self._numbers)), np.float32)
        codes = np.empty((len(rows), len(self._codes)), np.int64)
        for index, row in enumerate(rows):
            name = ""
            try:
                for column, name in enumerate(self._numbers):
                    numeric[index, column] = number(row[name])
                for column, (name, vocabulary) in enumerate(self._codes.items()):
                    codes[index, column] = vocabulary.get(category(row[name]), 0)
            except ValueError as error:
                raise Refused(str(error), where(index, name)) from error
        return {name: array for name, array in (("numeric", numeric), ("category", codes)) if name in self._inputs}

    def _check_columns(self, given: Mapping[str, Any] | Sequence[str], path: str) -> None:
        """Refuse unknown columns and absent ones; the target may be there and is not looked at."""
        if len(given) == len(self._columns) and self._columns.issuperset(given):
            return
        for name in given:
            if name not in self._columns and name != self._target:
                known = ", ".join(list(self._columns_in_order())[:20])
                raise Refused(f"{show(name)} is no column of this model; it has {known}. {self._nearest(name)}", path)
        absent = [name for name in self._columns_in_order() if name not in given]
        if absent:
            raise Refused(
                f"column {show(absent[0])} is absent; every column is required, with null (JSON) or an empty field "
                "(CSV) where the value is missing", path,
            )  # fmt: skip

    def _columns_in_order(self) -> list[str]:
        return [feature.name for feature in self._features]

    def _nearest(self, name: str) -> str:
        return nearest(name, self._columns) or "Send the model's columns only."

    def _check_schema(self, schema: Schema) -> None:
        expected = {"numeric": ("float32", len(self._numbers)), "category": ("int64", len(self._codes))}
        found = {tensor.name: (tensor.dtype, *tensor.shape[1:]) for tensor in schema.inputs}
        needed = {name: tensor for name, tensor in expected.items() if tensor[1] or name in found}
        if found != needed or len(self._columns) != len(self._features):
            raise InvalidModel(f"the manifest's inputs are {found}; its features would need {needed}, each named once")


def _codes(feature: Feature) -> dict[str | None, int]:
    return {value: code for code, value in enumerate(feature.vocabulary, start=1)}


def _typical(feature: Feature) -> float | str | None:
    if feature.kind == "number":
        return feature.statistics.get("mean", 0.0)
    return feature.vocabulary[0] if feature.vocabulary else None


def _json_number(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str):
        raise ValueError(f"{show(value)} is text; expected a number without quotes, or null where it is missing")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{show(value)} is not allowed; expected a number, or null where it is missing")
    return _in_range(value)


def _json_category(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    hint = f', so send "{show(value)}" in quotes' if isinstance(value, (int, float)) else ""
    raise ValueError(f"{show(value)} is not allowed; the column holds text{hint}, or null where it is missing")


def _csv_number(text: str) -> float:
    if text == "":
        return float("nan")
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{show(text)} is not allowed; expected a number, or an empty field where it is missing")
    return _in_range(float(text))


def _csv_category(text: str) -> str | None:
    return text or None


def _in_range(value: float) -> float:
    if not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{show(value)} is not allowed; expected a number from {-LARGEST:g} to {LARGEST:g} (float32)")
    return value
