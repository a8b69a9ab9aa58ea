"""Histories as requests: JSON, and the table that was uploaded."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest

from contract.errors import InvalidModel
from contract.manifest import Feature, Schema, Tensor
from contract.timeline import Step, to_seconds
from serving.errors import Refused
from serving.inputs import reader_for
from serving.series_inputs import SeriesReader
from training import recipes

STEP = Step(seconds=3600)
STATISTICS = {"mean": 5.0, "std": 2.0, "min": 0.0, "max": 9.0, "missing": 0.0, "season": 2.0}
ROAD = Feature(name="road", kind="category", vocabulary=("A1", "B2"))


def schema(*categories: Feature, steps: int = 3, step: Step = STEP) -> Schema:
    inputs = [
        Tensor(name="history", dtype="float32", shape=(-1, steps)),
        Tensor(name="start", dtype="int64", shape=(-1, 1)),
    ]
    inputs += [Tensor(name="category", dtype="int64", shape=(-1, 1)) for _ in categories]
    features = (
        Feature(name="flow", kind="history", statistics=STATISTICS),
        Feature(name="time", kind="start", statistics={**step.statistics(), "span": 1e6}),
        *categories,
    )
    return Schema(
        task="regression", inputs=tuple(inputs), features=features, labels=("t+1", "t+2"), target="flow",
        metric="mase", statistics={name: STATISTICS[name] for name in ("mean", "std", "min", "max")},
    )  # fmt: skip


def reader(*categories: Feature, **changes: Any) -> SeriesReader:
    found = reader_for(schema(*categories, **changes))
    assert isinstance(found, SeriesReader)
    return found


def ask(*instances: Any) -> bytes:
    return orjson.dumps({"instances": list(instances)})


GOOD = {"history": [1, None, 2.5], "start": "2026-01-05T08:00", "series": "B2"}


def test_a_history_becomes_what_the_model_was_learned_from() -> None:
    arrays = reader(ROAD).from_json(
        ask(GOOD, {**GOOD, "history": [9, 8, 7, 6], "series": "C3"}, {**GOOD, "series": None})
    )
    np.testing.assert_array_equal(arrays["history"][:2], np.array([[1, math.nan, 2.5], [8, 7, 6]], np.float32))
    assert arrays["start"].tolist() == [[to_seconds("2026-01-05T08:00")]] * 3
    assert arrays["category"].tolist() == [[2], [0], [0]]
    assert {name: array.dtype for name, array in arrays.items()} == {
        "history": np.float32, "start": np.int64, "category": np.int64,
    }  # fmt: skip


def test_one_series_needs_no_name() -> None:
    arrays = reader().from_json(ask({"history": [1, 2, 3], "start": "2026-01-05"}))
    assert set(arrays) == {"history", "start"}
    with pytest.raises(Refused, match="'series' is not known; expected history, start"):
        reader().from_json(ask(GOOD))


@pytest.mark.parametrize(
    ("change", "message", "path"),
    [
        ({"history": [1, 2]}, "a list of 2 is not enough; expected the last 3 values, one hour apart", "[0].history"),
        ({"history": 4}, "4 is not enough", "[0].history"),
        ({"history": [1, "2", 3]}, "'2' is not allowed; expected a number from", "[0].history[1]"),
        ({"history": [0, 1, 2, True]}, "True is not allowed", "[0].history[3]"),
        ({"history": [1, 2, 1e39]}, "1e.39 is not allowed", "[0].history[2]"),
        ({"start": "tomorrow"}, "'tomorrow' is no time; expected ISO 8601", "[0].start"),
        ({"start": 1767600000}, "1767600000 is no time", "[0].start"),
        ({"series": 7}, "7 is no name of a series", "[0].series"),
        ({"strat": "2026-01-05"}, "'strat' is not known; .* Did you mean 'start'", "[0]"),
    ],
    ids=["short", "no list", "text", "bool", "large", "no time", "epoch", "name", "typo"],
)
def test_mistakes_are_named(change: dict[str, Any], message: str, path: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        reader(ROAD).from_json(ask({**GOOD, **change}))
    assert refused.value.path == f"instances{path}"


def test_absent_keys_are_named() -> None:
    with pytest.raises(Refused, match="'series' is absent; expected history, start, series"):
        reader(ROAD).from_json(ask({"history": [1, 2, 3], "start": "2026-01-05"}))


def test_a_series_in_the_clear_is_refused_where_hashes_were_learned() -> None:
    hashed = Feature(name="road", kind="category", vocabulary=("0" * 32,), hashed=True)
    with pytest.raises(Refused, match="the column is hashed") as refused:
        reader(hashed).from_json(ask(GOOD))
    assert "B2" not in refused.value.message
    assert reader(hashed).from_json(ask({**GOOD, "series": "0" * 32}))["category"].tolist() == [[1]]


TABLE = """road,note,flow,time
B2,x,5,2026-01-05T03:00
A1,,7,2026-01-05 00:00
B2,,,2026-01-05T04:00
B2,,3,2026-01-05T01:00
B2,,4,2026-01-05T02:00
A1,,9,2026-01-05T02:00
"""


def test_the_uploaded_table_is_forecast_from_its_end() -> None:
    arrays = reader(ROAD).from_csv(TABLE.encode())
    np.testing.assert_array_equal(arrays["history"], np.array([[4, 5, math.nan], [7, math.nan, 9]], np.float32))
    assert arrays["start"][:, 0].tolist() == [to_seconds("2026-01-05T05:00"), to_seconds("2026-01-05T03:00")]
    assert arrays["category"][:, 0].tolist() == [2, 1]


def test_months_are_counted_by_the_calendar() -> None:
    text = "time,flow\n2025-11,1\n2025-12,2\n2026-02,4\n"
    arrays = reader(steps=4, step=Step(months=1)).from_csv(text.encode())
    np.testing.assert_array_equal(arrays["history"], np.array([[1, 2, math.nan, 4]], np.float32))
    assert arrays["start"].tolist() == [[to_seconds("2026-03-01")]]
    assert reader(steps=1, step=Step(months=1)).from_csv(b"time,flow\n2999-12,1\n")["start"][0, 0] > 0


@pytest.mark.parametrize(
    ("line", "message", "path"),
    [
        ("A1,,1,2026-01-05T02:00", "is there twice; give each once", "line 8"),
        ("A1,,1,2026-01-05T02:30", "lies between two steps; times are one hour apart", "line 8"),
        ("A1,,1,soon", "'soon' is no time", "line 8"),
        ("A1,,much,2026-01-05T03:00", "'much' is not allowed", "line 8"),
        ("A1,,1,2999-01-05T02:00", "is too far from the others", "line 8"),
        ("C3,,1,2026-01-05T02:00", "series 'C3' spans 1 steps of one hour; the model looks back 3", ""),
    ],
    ids=["twice", "off", "no time", "no number", "far", "short"],
)
def test_mistakes_in_a_table_are_named(line: str, message: str, path: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        reader(ROAD).from_csv((TABLE + line + "\n").encode())
    assert refused.value.path == path


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(Refused, match=r"column 'road' is absent; expected 'time', 'flow', 'road'. Did you mean 'roda'"):
        reader(ROAD).from_csv(TABLE.replace("road", "roda").encode())


def test_the_example_is_accepted() -> None:
    for one in (reader(), reader(ROAD)):
        assert one.from_json(ask(one.example()))["history"].tolist() == [[5.0, 5.0, 5.0]]


def test_server_and_champion_read_alike() -> None:
    signature = schema(ROAD)
    recipe = recipes.load("forecast")
    original = {**GOOD, "history": [0.1, None, 1 / 3], "step": STEP.statistics()}
    encoded = recipe.encode([json.dumps(original).encode()], signature)
    asked = reader(ROAD).from_json(ask({key: original[key] for key in GOOD}))
    assert encoded.keys() == asked.keys()
    for name, array in asked.items():
        np.testing.assert_array_equal(array, encoded[name])


def test_a_schema_that_describes_other_arrays_is_refused() -> None:
    one = schema(ROAD)
    with pytest.raises(InvalidModel, match="its features would need"):
        SeriesReader(Schema(**{**vars(one), "inputs": one.inputs[:2]}))
    with pytest.raises(InvalidModel, match="one history, one start"):
        SeriesReader(Schema(**{**vars(one), "features": one.features[1:]}))
