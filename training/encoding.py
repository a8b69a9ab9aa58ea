"""Cells of a table to the arrays that a model takes, by its features: of rows that are prepared, and of a champion's.

The server does the same to requests (serving.table_inputs), with the same functions of :mod:`contract`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.dates import MISSING, from_parts, to_parts
from contract.manifest import Feature, Schema, Tensor
from contract.values import category_code, round_down
from training.columns import to_numbers

NUMERIC, CATEGORY = "numeric", "category"


def tensor_of(feature: Feature) -> str:
    """Return the name of the input that a feature fills a column of."""
    return CATEGORY if feature.kind == "category" else NUMERIC


def tensors(features: Sequence[Feature]) -> tuple[Tensor, ...]:
    """Return the signature: numbers, categories, or both."""
    names = [tensor_of(feature) for feature in features]
    return tuple(
        Tensor(name=name, dtype=dtype, shape=(-1, names.count(name)))
        for name, dtype in ((NUMERIC, "float32"), (CATEGORY, "int64"))
        if name in names
    )


def encode(features: Sequence[Feature], column: Callable[[str], Sequence[str]]) -> dict[str, NDArray]:
    """Return the inputs of some rows; what is no number or no date where one belongs is missing.

    Args:
        features: of the model that is asked.
        column: returns a column's cleaned cells.
    """
    parts: dict[str, list[Mapping[str, float]]] = {}
    columns: dict[str, list[NDArray]] = {NUMERIC: [], CATEGORY: []}
    for feature in features:
        cells = column(feature.name)
        if feature.kind == "number":
            columns[NUMERIC].append(_numbers(cells, feature.multiple))
        elif feature.kind == "date":
            if feature.name not in parts:
                parts[feature.name] = to_dates(cells)[0]
            columns[NUMERIC].append(np.array([date[feature.part] for date in parts[feature.name]], np.float32))
        else:
            columns[CATEGORY].append(_codes(cells, feature))
    return {name: np.stack(arrays, axis=1) for name, arrays in columns.items() if arrays}


def decode(arrays: Mapping[str, NDArray], schema: Schema) -> dict[str, Any]:
    """Return a request's row that the server encodes as ``arrays`` (of one row, without a batch dimension)."""
    values: dict[str, Any] = {}
    dates: dict[str, dict[str, float]] = {}
    for feature, value in zip(schema.features, _in_order(arrays, schema.features), strict=True):
        if feature.kind == "category":
            values[feature.name] = _word(int(value), feature)
        elif feature.kind == "number":
            values[feature.name] = None if np.isnan(value) else float(value)
        else:
            dates.setdefault(feature.name, {})[feature.part] = float(value)
            values[feature.name] = None  # until all parts are there
    whole = {name: from_parts(parts) for name, parts in dates.items() if not math.isnan(sum(parts.values()))}
    return values | whole


def to_dates(cells: Sequence[str]) -> tuple[list[Mapping[str, float]], NDArray[np.bool_]]:
    """Return the parts of a column's dates (NaN where missing or mistaken), and where the mistakes are."""
    found = [to_parts(cell) for cell in cells]
    return [parts or MISSING for parts in found], np.array([parts is None for parts in found], np.bool_)


def _in_order(arrays: Mapping[str, NDArray], features: Sequence[Feature]) -> Iterator[Any]:
    columns = {name: iter(array) for name, array in arrays.items() if name in (NUMERIC, CATEGORY)}
    for feature in features:
        yield next(columns[tensor_of(feature)])


def _numbers(cells: Sequence[str], multiple: float | None) -> NDArray[np.float32]:
    values = to_numbers(cells)[0].tolist()
    if multiple is not None:
        values = [value if math.isnan(value) else round_down(value, multiple) for value in values]
    return np.array(values, np.float32)


def _codes(cells: Sequence[str], feature: Feature) -> NDArray[np.int64]:
    known = {word: code for code, word in enumerate(feature.vocabulary, start=1)}
    return np.array([category_code(cell, known, feature.buckets) for cell in cells], np.int64)


def _word(code: int, feature: Feature) -> str | None:
    """Return a value of this code; of a bucket, one that hashes into it and could be a hash itself."""
    if code <= len(feature.vocabulary):
        return feature.vocabulary[code - 1] if code else None
    number, known = 0, {word: place for place, word in enumerate(feature.vocabulary, start=1)}
    while category_code(f"{number:032x}", known, feature.buckets) != code:
        number += 1
    return f"{number:032x}"
