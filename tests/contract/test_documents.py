"""Metrics lines, manifests, reports, values, prices and the ledger's keys."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy
import pytest

from contract import ledger, metrics
from contract.errors import InvalidConfig
from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from contract.parsing import to_dict
from contract.prices import load_prices
from contract.reports import DatasetReport
from contract.values import LARGEST, clean, round_down, to_number

SCHEMA = Schema(
    task="classification",
    inputs=(Tensor(name="numeric", dtype="float32", shape=(-1, 1)),),
    features=(Feature(name='größe, "cm"', kind="number", multiple=10, statistics={"mean": 1.5}),),
    labels=("ja", "nein"),
    target="risk",
)
MANIFEST = ModelManifest(
    format=FORMAT, tenant="acme", project="credit", run="run-1", recipe="tabular", options={"hidden": 3}, schema=SCHEMA
)


# --- metrics ---


def test_a_line_is_read_back() -> None:
    values = {"epoch": 3, "train_loss": 0.1234, "validation_loss": 1e-7, "validation_accuracy": 0.97, "seconds": 1234.5}
    assert metrics.parse_line(metrics.line(values)) == pytest.approx(values)


def test_sagemakers_regular_expressions_find_the_same_values() -> None:
    line = metrics.line({name: number + 0.5e-6 for number, name in enumerate(metrics.names())})
    for definition in metrics.definitions():
        [value] = re.findall(definition["Regex"], line)
        assert float(value) == metrics.parse_line(line)[definition["Name"]]


def test_the_definitions_are_within_sagemakers_limits() -> None:
    definitions = metrics.definitions()
    assert len(definitions) <= 40
    assert all(len(each["Name"]) <= 255 and len(each["Regex"]) <= 500 for each in definitions)
    assert "validation_accuracy" in metrics.names()


@pytest.mark.parametrize(
    "text", ["", "hello", "epochs=3", " epoch=1", "epoch=3 done", "epoch=x", "epoch=1 a=", "epoch="]
)
def test_another_line_has_no_metrics(text: str) -> None:
    assert metrics.parse_line(text) == {}


# --- manifest ---


def test_a_manifest_survives_json() -> None:
    assert ModelManifest.from_dict(json.loads(json.dumps(MANIFEST.to_dict()))) == MANIFEST
    assert Schema.from_dict(json.loads(json.dumps(to_dict(SCHEMA)))) == SCHEMA


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"format": 2}, "manifest.format"),
        ({"schema": {**to_dict(SCHEMA), "task": "clustering"}}, "manifest.schema.task"),
        ({"schema": {**to_dict(SCHEMA), "task": "regression"}}, "schema.metric"),
        ({"schema": {**to_dict(SCHEMA), "task": "regression", "metric": "rmse"}}, "schema.statistics"),
        ({"schema": {**to_dict(SCHEMA), "labels": "ja"}}, "manifest.schema.labels"),
        (
            {"schema": {**to_dict(SCHEMA), "inputs": [{"name": "x", "dtype": "float16", "shape": [-1]}]}},
            "manifest.schema.inputs[0].dtype",
        ),
        ({"files": {"model.onnx": 5}}, "manifest.files.model.onnx"),
        ({"extra": 1}, "manifest"),
    ],
)
def test_a_damaged_manifest_is_refused_by_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        ModelManifest.from_dict({**MANIFEST.to_dict(), **change})
    assert refused.value.path == path


def test_a_report_survives_json() -> None:
    report = DatasetReport(run="run-1", accepted=True, rows={"train": 3}, features=SCHEMA.features)
    assert DatasetReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


# --- values ---


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [(" a ", "a"), ("none", "none"), ("0", "0"), (None, "")]
    + [(text, "") for text in ("", "NA", " n/a ", "#N/A", "NaN", "Null", "?")],
)
def test_text_that_says_that_a_value_is_missing_is_empty(text: str | None, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("-1.5", -1.5), ("+.5", 0.5), ("7.", 7), ("1e-3", 0.001), ("3.4e38", 3.4e38)]
)
def test_decimal_text_is_a_number(text: str, number: float) -> None:
    assert to_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "1_000", "1,5", "0x1F", "inf", "nan", "1e39", "--1", ".", "1e", "\u0661", "1 2"]
)
def test_other_text_is_no_number(text: str) -> None:
    assert math.isnan(to_number(text))


def test_long_text_is_told_apart_in_one_pass() -> None:
    assert math.isnan(to_number("9" * 1_000_000 + "x"))


def test_the_largest_number_is_that_of_float32() -> None:
    assert float(numpy.finfo(numpy.float32).max) == LARGEST


@pytest.mark.parametrize(
    ("value", "multiple", "rounded"),
    [(39.9, 10, 30), (40, 10, 40), (-1, 10, -10), (0, 10, 0), (0.75, 0.1, 0.7), (0.3, 0.1, 0.3), (1e9 + 1, 1000, 1e9)],
)
def test_numbers_are_rounded_down_to_a_multiple(value: float, multiple: float, rounded: float) -> None:
    assert round_down(value, multiple) == pytest.approx(rounded)


@pytest.mark.parametrize("multiple", [0.1, 0.25, 3, 10, 1000])
def test_rounding_again_after_float32_changes_nothing(multiple: float) -> None:
    for value in numpy.random.default_rng(0).uniform(-5000, 5000, 500).tolist():
        once = numpy.float32(round_down(value, multiple))
        assert numpy.float32(round_down(float(once), multiple)) == once


# --- prices and ledger ---


def test_prices_are_positive_and_dated() -> None:
    prices = load_prices()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", prices.date)
    for table in (prices.training, prices.processing, prices.hosting, prices.transform, prices.fees):
        assert table
        assert all(value > 0 for value in table.values())


def test_an_instance_without_a_price_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidConfig, match=r"train\.instance: 'ml\.g5\.xlage'.*Did you mean 'ml\.g5\.xlarge'"):
        load_prices().hourly("training", "ml.g5.xlage", "train.instance")


def test_the_ledgers_keys_never_meet() -> None:
    made = [
        ledger.run_key("a"),
        ledger.upload_key("bucket", "a/b", "v"),
        ledger.champion_key("a", "b"),
        ledger.lease_key("a", "b"),
        ledger.throughput_key("a", "b", "image", "ml.m5.large", 2),
    ]
    assert len({tuple(key.values()) for key in made}) == len(made)
    assert all(key.keys() == {"pk", "sk"} for key in made)
