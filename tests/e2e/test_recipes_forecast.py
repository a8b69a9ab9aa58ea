"""Series go through the whole pipeline, and the forecast in service goes on where the held-out file ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from contract.run import Outcome
from tests.e2e.app import App

EXAMPLE = Path(__file__).parents[2] / "examples/departures"


@pytest.mark.more
def test_departures_are_forecast_in_service(app: App) -> None:
    project = app.project()
    app.configure(project, (EXAMPLE / "project.toml").read_text())
    run = app.settled(app.upload(project, "departures.csv", (EXAMPLE / "departures.csv").read_bytes()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    evaluation = run["evaluation"]
    assert evaluation["metric"] == "mase"
    assert evaluation["metrics"]["mase"] < 0.85 * evaluation["baseline"]["mase"]
    body = (EXAMPLE / "held_out.csv").read_bytes()
    forecasts = [each["values"] for each in app.predict(project, body, "text/csv")["predictions"]]
    assert [list(values) for values in forecasts] == [[f"t+{hour}" for hour in range(1, 25)]] * 3
    assert all(values["t+9"] > 10 > values["t+4"] for values in forecasts)  # a Monday morning; nothing leaves at night
    newark = [row for row in csv.DictReader(body.decode().splitlines()) if row["airport"] == "EWR"]
    asked = {"history": [float(row["departures"]) for row in newark], "start": "2013-07-29T00:00", "series": "EWR"}
    answer = app.predict(project, json.dumps({"instances": [asked]}).encode())
    assert answer["predictions"][0]["values"] == forecasts[0]
