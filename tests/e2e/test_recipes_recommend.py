"""Ratings go through the whole pipeline, and the model in service recommends."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import correlation

import pytest

from contract.run import Outcome
from tests.e2e.app import App

EXAMPLE = Path(__file__).parents[2] / "examples/films"


@pytest.mark.more
def test_films_are_recommended_in_service(app: App) -> None:
    project = app.project()
    app.configure(project, (EXAMPLE / "project.toml").read_text())
    run = app.settled(app.upload(project, "ratings.csv", (EXAMPLE / "ratings.csv").read_bytes()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    evaluation = run["evaluation"]
    assert evaluation["metric"] == "rmse"
    assert evaluation["metrics"]["rmse"] < 0.9 * evaluation["baseline"]["rmse"]
    body = (EXAMPLE / "held_out.csv").read_bytes()
    rows = list(csv.DictReader(body.decode().splitlines()))
    answers = [each["values"]["stars"] for each in app.predict(project, body, "text/csv")["predictions"]]
    assert len(answers) == len(rows)
    films: dict[str, dict[str, float]] = {}
    for row, stars in zip(rows, answers, strict=True):
        films.setdefault(row["person"], {})[row["film"]] = stars
    one, other, _ = films.values()
    shared = sorted(one.keys() & other.keys())
    assert correlation([one[film] for film in shared], [other[film] for film in shared]) < 0.9  # to each their own
    stranger = [
        {"person": "nobody", "film": "f001"},
        {"person": None, "film": "f001"},
        {"person": "p0011", "film": "?"},
    ]
    answer = app.predict(project, json.dumps({"instances": stranger}).encode())["predictions"]
    assert answer[0] == answer[1]
    assert all(0 < each["values"]["stars"] < 5.5 for each in answer)
