"""Series to the arrays ``history``, ``start`` and ``category`` (see contract.manifest.Feature); a row is a forecast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from contract.errors import InvalidModel, nearest
from contract.manifest import Feature, Schema
from contract.timeline import Step, to_seconds
from contract.values import LARGEST, clean, to_number
from serving.csv_body import Lines, read_lines
from serving.errors import Refused, show
from serving.inputs import Arrays
from serving.json_body import read_instances
from serving.table_inputs import Category

HISTORY, START, SERIES = "history", "start", "series"
EXAMPLE = "2026-01-31T08:00"
FINITE = f"a number from {-LARGEST:g} to {LARGEST:g} (float32)"
MOST_STEPS = 1_000_000  # between the first and the last time of a series in a CSV body


@dataclass(kw_only=True)
class Asked:
    """The values of one series in a CSV body, by the number of their time."""

    code: int
    values: dict[int, float] = field(default_factory=dict)


class SeriesReader:
    """Reads histories as JSON, or as the CSV table that the model was learned from."""

    linear = True

    def __init__(self, schema: Schema) -> None:
        kinds = {feature.kind: feature for feature in schema.features}
        shapes: dict[str, tuple[Any, ...]] = {
            tensor.name: (tensor.dtype, *tensor.shape[1:]) for tensor in schema.inputs
        }
        self._value, self._time, self._series = kinds.get("history"), kinds.get("start"), kinds.get("category")
        if self._value is None or self._time is None or len(kinds) != len(schema.features) or HISTORY not in shapes:
            raise InvalidModel("a forecast's schema has one history, one start, and at most one category")
        self._steps: int = shapes[HISTORY][-1]
        expected: dict[str, tuple[Any, ...]] = {HISTORY: ("float32", self._steps), START: ("int64", 1)}
        if self._series:
            expected["category"] = ("int64", 1)
        if shapes != expected:
            raise InvalidModel(f"the manifest's inputs are {shapes}; its features would need {expected}")
        self._step = Step.of(self._time.statistics)
        self._category = Category(self._series) if self._series else None
        self._keys = (HISTORY, START, SERIES) if self._series else (HISTORY, START)
        self.decoders: dict[str, Callable[[bytes], Arrays]] = {
            "application/json": self.from_json,
            "text/csv": self.from_csv,
        }

    def from_json(self, body: bytes) -> Arrays:
        """Read ``{"instances": [{"history": [number or null, ...], "start": time, "series": name or null}]}``.

        ``start`` is the first time that is forecast, the step after the last value. Of a longer history,
        the last values count. ``series`` is asked for when the model learned several.
        """
        instances = read_instances(body)
        history = np.empty((len(instances), self._steps), np.float32)
        start, code = (np.zeros((len(instances), 1), np.int64) for _ in range(2))
        for index, instance in enumerate(instances):
            path = f"instances[{index}]"
            self._check_keys(instance, path)
            history[index] = self._history(instance[HISTORY], f"{path}.{HISTORY}")
            start[index] = _start(instance[START], f"{path}.{START}")
            if self._category:
                code[index] = self._code(_name(instance[SERIES], f"{path}.{SERIES}"), f"{path}.{SERIES}")
        return self._arrays(history, start, code)

    def from_csv(self, body: bytes) -> Arrays:
        """Read a table of times and values like the upload's; each series is forecast from the step after its last row.

        The forecasts come in the order in which the series first occur. A time without a row, or
        without a value, is missing; other columns are not looked at.
        """
        lines = read_lines(body)
        asked = self._asked(lines)
        history = np.full((len(asked), self._steps), np.nan, np.float32)
        start, code = (np.zeros((len(asked), 1), np.int64) for _ in range(2))
        for index, (name, series) in enumerate(asked.items()):
            end = max(series.values) + 1
            if end - min(series.values) < self._steps:
                which = f"series {show(name)} spans" if name else "the rows span"
                raise Refused(
                    f"{which} {end - min(series.values)} steps of one {self._step}; the model looks back {self._steps}"
                )
            first = end - self._steps
            for number, value in series.values.items():
                if number >= first:
                    history[index, number - first] = value
            start[index], code[index] = self._step.time(end), series.code
        return self._arrays(history, start, code)

    def example(self) -> dict[str, Any]:
        """Return a history that stays at its mean."""
        assert self._value
        instance: dict[str, Any] = {
            HISTORY: [self._value.statistics.get("mean", 0.0)] * self._steps,
            START: EXAMPLE,
        }
        if self._series:
            instance[SERIES] = self._series.vocabulary[0] if self._series.vocabulary else None
        return instance

    def _arrays(self, history: Any, start: Any, code: Any) -> Arrays:
        arrays = {HISTORY: history, START: start}
        return {**arrays, "category": code} if self._category else arrays

    def _check_keys(self, instance: dict[str, Any], path: str) -> None:
        for key in instance:
            if key not in self._keys:
                hint = nearest(key, self._keys)
                raise Refused(f"{show(key)} is not known; expected {', '.join(self._keys)}. {hint}".rstrip(), path)
        for key in self._keys:
            if key not in instance:
                raise Refused(f"{key!r} is absent; expected {', '.join(self._keys)}", path)

    def _history(self, values: Any, path: str) -> list[float]:
        if not isinstance(values, list) or len(values) < self._steps:
            given = f"a list of {len(values)}" if isinstance(values, list) else show(values)
            raise Refused(
                f"{given} is not enough; expected the last {self._steps} values, one {self._step} apart, oldest first, "
                "with null where one is missing", path,
            )  # fmt: skip
        skipped = len(values) - self._steps
        return [_number(value, path, skipped + place) for place, value in enumerate(values[skipped:])]

    def _code(self, name: str, path: str) -> int:
        assert self._category
        try:
            return self._category.code(name)
        except ValueError as error:
            raise Refused(str(error), path) from error

    def _asked(self, lines: Lines) -> dict[str, Asked]:
        places = self._places(lines.header)
        asked: dict[str, Asked] = {}
        for row, number in zip(lines.rows, lines.numbers, strict=True):
            name = clean(row[places[2]]) if len(places) > 2 else ""
            if name not in asked:
                asked[name] = Asked(code=self._code(name, f"line {number}") if self._category else 0)
            values, place = asked[name].values, self._number(row[places[0]], f"line {number}")
            if place in values:
                raise Refused(f"the time {show(row[places[0]])} is there twice; give each once", f"line {number}")
            values[place] = _in_text(row[places[1]], f"line {number}")
            if abs(place - next(iter(values))) > MOST_STEPS:
                raise Refused(f"the time {show(row[places[0]])} is too far from the others", f"line {number}")
        return asked

    def _places(self, header: list[str]) -> list[int]:
        """Return where the time, the value and the series are."""
        wanted: list[Feature | None] = [self._time, self._value, self._series]
        for feature in filter(None, wanted):
            if feature.name not in header:
                names = ", ".join(repr(each.name) for each in wanted if each)
                hint = nearest(feature.name, header)
                raise Refused(f"column {show(feature.name)} is absent; expected {names}. {hint}".rstrip(), "line 1")
        return [header.index(feature.name) for feature in wanted if feature]

    def _number(self, text: str, path: str) -> int:
        number = self._step.number(_start(clean(text), path))
        if number is None:
            raise Refused(f"{show(text)} lies between two steps; times are one {self._step} apart", path)
        return number


def _start(text: Any, path: str) -> int:
    seconds = to_seconds(text) if isinstance(text, str) else None
    if seconds is None:
        raise Refused(f"{show(text)} is no time; expected ISO 8601, {EXAMPLE}", path)
    return seconds


def _name(value: Any, path: str) -> str:
    if value is not None and not isinstance(value, str):
        raise Refused(f"{show(value)} is no name of a series; expected text, or null for one that is not known", path)
    return clean(value)


def _number(value: Any, path: str, place: int) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
        raise Refused(
            f"{show(value)} is not allowed; expected {FINITE}, or null where it is missing", f"{path}[{place}]"
        )
    return value


def _in_text(text: str, path: str) -> float:
    cleaned = clean(text)
    number = to_number(cleaned)
    if cleaned and math.isnan(number):
        raise Refused(f"{show(text)} is not allowed; expected {FINITE}, or an empty field where it is missing", path)
    return number
