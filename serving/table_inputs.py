"""Rows of a table to the arrays ``numeric`` and ``category`` (see contract.manifest.Feature)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.dates import DAYS, EXPECTED, from_parts, to_parts
from contract.errors import InvalidModel, nearest
from contract.manifest import Feature, Schema
from contract.values import HASH, LARGEST, category_code, clean, round_down, to_number
from serving.csv_body import read_lines
from serving.errors import Refused, show
from serving.inputs import Arrays
from serving.json_body import read_instances
from serving.npy_body import read_array

_PLAIN = frozenset({float, int, type(None)})
RANGE = f"from {-LARGEST:g} to {LARGEST:g} (float32)"


class Category:
    """A column of text and the codes of its known values."""

    def __init__(self, feature: Feature) -> None:
        self._hashed = feature.hashed
        self._buckets = feature.buckets
        self._codes = {value: code for code, value in enumerate(feature.vocabulary, start=1)}

    def code(self, text: str) -> int:
        """Return the code of cleaned text.

        Raises:
            ValueError: for text in the clear where the model learned from hashes. It is
                not quoted: it is personal data.
        """
        if text and self._hashed and not HASH.fullmatch(text):
            raise ValueError(
                "the column is hashed before anything learns from it; expected the hash, 32 hexadecimal digits of "
                "HMAC-SHA256 with the tenant's salt, or null where it is missing"
            )
        return category_code(text, self._codes, self._buckets)


class TableReader:
    """Reads rows as JSON or CSV; as an array too, where every column is a number."""

    linear = True

    def __init__(self, schema: Schema) -> None:
        self._target = schema.target
        self._features = schema.features
        self._columns = {feature.name for feature in schema.features}
        self._numbers = {feature.name: feature for feature in schema.features if feature.kind == "number"}
        self._places = _places(schema.features)
        self._dates = {f.name: self._places[f.name] for f in schema.features if f.kind == "date"}
        self._categories = {f.name: Category(f) for f in schema.features if f.kind == "category"}
        self._inputs = {tensor.name for tensor in schema.inputs}
        self._plain: Callable[[Mapping[str, Any]], tuple[Any, ...]] | None = (
            None  # a row's values, where all are numbers
        )
        if len(self._numbers) == len(schema.features) > 1 and all(f.multiple is None for f in schema.features):
            self._plain = itemgetter(*self._numbers)
        self._check_schema(schema)
        self.decoders: dict[str, Callable[[bytes], Arrays]] = {
            "application/json": self.from_json,
            "text/csv": self.from_csv,
        }
        if not self._categories and not self._dates:
            self.decoders["application/x-npy"] = self.from_npy

    def from_json(self, body: bytes) -> Arrays:
        """Read ``{"instances": [{"column": value or null}, ...]}``."""
        instances = read_instances(body)
        if self._plain and (numeric := _plain_numbers(instances, self._plain, len(self._columns))) is not None:
            return {"numeric": numeric}
        for index, instance in enumerate(instances):
            self._check_columns(instance, f"instances[{index}]")
        return self._arrays(instances, _number, _text, lambda index, name: f"instances[{index}].{name}")

    def from_csv(self, body: bytes) -> Arrays:
        """Read a header and rows; an empty field is a missing value."""
        lines = read_lines(body)
        self._check_columns(lines.header, "line 1")
        rows = [dict(zip(lines.header, row, strict=True)) for row in lines.rows]
        return self._arrays(
            rows, _number_in_text, clean, lambda index, name: f"line {lines.numbers[index]}, column {name}"
        )

    def from_npy(self, body: bytes) -> Arrays:
        """Read [rows, columns] in the order of the signature; NaN is a missing value."""
        array = read_array(body)
        if array.ndim != 2 or array.shape[1] != len(self._numbers):
            columns = ", ".join(map(show, list(self._numbers)[:20]))
            raise Refused(
                f"the array's shape is {list(array.shape)}; expected [rows, {len(self._numbers)}], columns {columns}"
            )
        with np.errstate(over="ignore"):  # what overflows is refused in the next line
            numeric = np.array(array, np.float32)  # a copy: it may be rounded
        wrong = np.argwhere(np.isinf(numeric))
        if len(wrong):
            row, column = map(int, wrong[0])
            path = f"[{row}, {column}]"
            raise Refused(f"{array[row, column]} is not allowed; expected a number that float32 holds, or NaN", path)
        for column, feature in enumerate(self._numbers.values()):
            if feature.multiple is not None:
                numeric[:, column] = [_generalised(value, feature.multiple) for value in numeric[:, column].tolist()]
        return {"numeric": numeric}

    def example(self) -> dict[str, Any]:
        """Return a row of means and of first categories."""
        typical = {feature.name: _typical(feature) for feature in self._features if feature.kind != "date"}
        days = {f.name: from_parts({f.part: f.statistics["mean"]}) for f in self._features if f.part == DAYS}
        return {name: {**typical, **days}[name] for name in self._columns_in_order()}

    def _arrays(
        self,
        rows: Sequence[Mapping[str, Any]],
        number: Callable[[Any], float],
        text: Callable[[Any], str],
        where: Callable[[int, str], str],
    ) -> Arrays:
        """Return the arrays of ``rows``.

        Args:
            rows: raw values by column.
            number: reads a number, NaN where it is missing; ValueError for a mistake.
            text: reads a category, empty where it is missing; likewise.
            where: says where a row's column is, for messages.
        """
        numeric = np.full((len(rows), sum(map(len, self._places.values()))), np.nan, np.float32)
        codes = np.empty((len(rows), len(self._categories)), np.int64)
        for index, row in enumerate(rows):
            name = ""
            try:
                for name, feature in self._numbers.items():
                    numeric[index, self._places[name][""]] = _generalised(number(row[name]), feature.multiple)
                for name, places in self._dates.items():
                    for part, value in _date(text(row[name])).items():
                        if part in places:
                            numeric[index, places[part]] = value
                for column, (name, category) in enumerate(self._categories.items()):
                    codes[index, column] = category.code(text(row[name]))
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

    def _kinds(self) -> tuple[Mapping[str, object], ...]:
        return self._numbers, self._dates, self._categories

    def _columns_in_order(self) -> list[str]:
        return list(dict.fromkeys(feature.name for feature in self._features))

    def _nearest(self, name: str) -> str:
        return nearest(name, self._columns) or "Send the model's columns only."

    def _check_schema(self, schema: Schema) -> None:
        numbers = sum(feature.kind in ("number", "date") for feature in schema.features)
        expected = {"numeric": ("float32", numbers), "category": ("int64", len(self._categories))}
        found = {tensor.name: (tensor.dtype, *tensor.shape[1:]) for tensor in schema.inputs}
        needed = {name: tensor for name, tensor in expected.items() if tensor[1] or name in found}
        once = len({(feature.name, feature.part) for feature in schema.features}) == len(schema.features)
        if found != needed or not once or len(self._columns) != sum(map(len, self._kinds())):
            raise InvalidModel(f"the manifest's inputs are {found}; its features would need {needed}, each named once")


def _places(features: Sequence[Feature]) -> dict[str, dict[str, int]]:
    """Return the column of ``numeric`` that each part of a date fills, and each number, which has the part ''."""
    places: dict[str, dict[str, int]] = {}
    for place, feature in enumerate(each for each in features if each.kind != "category"):
        places.setdefault(feature.name, {})[feature.part] = place
    return places


def _plain_numbers(
    rows: Sequence[Mapping[str, Any]], values: Callable[[Mapping[str, Any]], tuple[Any, ...]], columns: int
) -> npt.NDArray[np.float32] | None:
    """Return float32 [rows, columns] at once; None where something is not allowed, which is then looked for one by one.

    Args:
        rows: of JSON.
        values: picks a row's values in the order of the columns, or raises KeyError.
        columns: that a row must have, no more and no less.
    """
    try:
        flat = list(chain.from_iterable(map(values, rows)))
        numbers = np.array(flat, np.float64)  # None becomes NaN; JSON itself has no NaN
    except (KeyError, TypeError, ValueError, OverflowError):  # the last: an integer beyond all bounds
        return None
    if set(map(len, rows)) != {columns} or not _PLAIN.issuperset(map(type, flat)):
        return None
    if (np.abs(numbers) > LARGEST).any():
        return None
    return numbers.astype(np.float32).reshape(len(rows), columns)


def _typical(feature: Feature) -> float | str | None:
    if feature.kind == "number":
        return feature.statistics.get("mean", 0.0)
    return feature.vocabulary[0] if feature.vocabulary else None


def _generalised(value: float, multiple: float | None) -> float:
    return value if multiple is None or math.isnan(value) else round_down(value, multiple)


def _date(text: str) -> Mapping[str, float]:
    """Return the parts of cleaned text, NaN where it is missing."""
    parts = to_parts(text)
    if parts is None:
        raise ValueError(f"{show(text)} is not allowed; expected {EXPECTED}, or nothing where it is missing")
    return parts


def _number(value: Any) -> float:
    """Read a JSON value."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        raise ValueError(f"{show(value)} is text; expected a number without quotes, or null where it is missing")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{show(value)} is not allowed; expected a number, or null where it is missing")
    if not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{show(value)} is not allowed; expected a number {RANGE}")
    return value


def _number_in_text(text: str) -> float:
    """Read a CSV field."""
    cleaned = clean(text)
    number = to_number(cleaned)
    if cleaned and math.isnan(number):
        raise ValueError(
            f"{show(text)} is not allowed; expected a number {RANGE}, or an empty field where it is missing"
        )
    return number


def _text(value: Any) -> str:
    """Read a JSON value."""
    if value is None or isinstance(value, str):
        return clean(value)
    hint = f", so send {json.dumps(json.dumps(value))} in quotes" if isinstance(value, (int, float)) else ""
    raise ValueError(f"{show(value)} is not allowed; the column holds text{hint}, or null where it is missing")
