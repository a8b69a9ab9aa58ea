"""Each recipe through the whole pipeline: from an upload to answers of the model in service."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract import keys
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import fares

ROOT = Path(__file__).parents[2]

FARES_TOML = """
recipe = "tabular"
[prepare]
target = "fare"
[train]
epochs = 12
batch_size = 32
learning_rate = 0.01
spot = false
instance = "ml.m5.large"
max_minutes = 10
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An upload, and what must come of it."""

    toml: str
    file: str
    upload: bytes
    asked: bytes  # CSV, as the server is asked
    task: str
    metric: str
    better: float  # the metric is at most this share of the baseline's
    label: str
    kinds: frozenset[str]  # of the features


def line() -> Case:
    """Return two columns and one line of settings."""
    example = ROOT / "examples/linear"
    return Case(
        toml=(example / "project.toml").read_text(),
        file="line.csv",
        upload=(example / "line.csv").read_bytes(),
        asked=(example / "held_out.csv").read_bytes(),
        task="regression",
        metric="rmse",
        better=0.15,
        label="y",
        kinds=frozenset({"number"}),
    )


def rides() -> Case:
    """Return values to predict from times, numbers and a category of many values."""
    text = fares()
    header, *rows = text.splitlines()
    unseen = ["2026-06-30 23:15:10.5,driver-new,5.00,", ",driver-3,7.5,20", "2026-02-01T04:00:00+02:00,,2,"]
    return Case(
        toml=FARES_TOML,
        file="rides.csv",
        upload=text.encode(),
        asked="\n".join([header, *rows[:5], *unseen]).encode(),
        task="regression",
        metric="rmse",
        better=0.4,
        label="fare",
        kinds=frozenset({"number", "date", "category"}),
    )


@pytest.mark.parametrize("make", [line, pytest.param(rides, marks=pytest.mark.more)])
def test_an_upload_becomes_a_model_in_service(app: App, make: Any) -> None:
    case, project = make(), app.project()
    app.configure(project, case.toml)
    run = app.settled(app.upload(project, case.file, case.upload))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    dataset, evaluation = run["dataset"], run["evaluation"]
    assert (
        (dataset["task"], dataset["metric"]) == (evaluation["task"], evaluation["metric"]) == (case.task, case.metric)
    )
    assert {feature["kind"] for feature in dataset["features"]} == case.kinds
    assert evaluation["metrics"][case.metric] <= case.better * evaluation["baseline"][case.metric]
    _check_values(app, project, case)
    page = app.read(keys.run_prefix("acme", project, run["run"]) + keys.REPORT).decode()
    assert "Predicted against true values" in page
    assert evaluation["baseline_name"].replace("'", "&#x27;") in page or evaluation["baseline_name"] in page


def _check_values(app: App, project: str, case: Case) -> None:
    """Ask the model about rows whose truth is known, and about rows with values that it never saw."""
    rows = list(csv.DictReader(io.StringIO(case.asked.decode())))
    answers = app.predict(project, case.asked, "text/csv")["predictions"]
    values = [answer["values"][case.label] for answer in answers]
    assert len(values) == len(rows)
    assert all(math.isfinite(value) for value in values)
    apart = [abs(value - float(row[case.label])) for value, row in zip(values, rows, strict=True) if row[case.label]]
    assert sum(apart) / len(apart) < 4
