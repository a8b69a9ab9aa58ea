"""The recipe forecast: series on a grid, split by time, and a model that beats repeating the last season."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from contract.errors import InvalidConfig
from contract.manifest import Schema
from contract.reports import DatasetReport
from tests.training.builders import ROOT, request, run_prepare, train_here, training_job
from training import forecasts, optimise, originals, recipes, seasons
from training.data import LABEL, Split, read_schema
from training.seasonal import Clock
from training.windows import Calendar, Series

FORECAST = recipes.load("forecast")
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 1, 5)


def flow(hours: int = 24 * 21, *, seed: int = 0, level: float = 100.0) -> list[float]:
    """Return traffic: a day of 24 hours, weekends of half the flow, noise."""
    source = random.Random(seed)
    return [
        level * (1 + math.sin((hour - 8) * math.pi / 12)) * (0.5 if hour // 24 % 7 > 4 else 1.0) + source.gauss(0, 4)
        for hour in range(hours)
    ]


def rows(values: list[float], name: str = "") -> list[str]:
    times = (MONDAY + number * HOUR for number in itertools.count())
    return [f"{time:%Y-%m-%dT%H:%M},{name},{value:.3f}" for time, value in zip(times, values, strict=False)]


def csv(*lines: str) -> str:
    return "\n".join(["time,road,flow", *lines]) + "\n"


def settings(**options: Any) -> dict[str, Any]:
    return {"recipe": {"name": "forecast", **options}, "prepare": {"target": "flow"}}


def prepared(folder: Path, text: str, **options: Any) -> tuple[DatasetReport, Path]:
    return run_prepare(folder, {"flow.csv": text}, settings(**options))


def splits(out: Path) -> dict[str, dict[str, NDArray]]:
    return {name: Split(out / "dataset" / name).everything() for name in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def departures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing the example."""
    content = (ROOT / "examples/departures/departures.csv").read_bytes()
    asked = {"recipe": {"name": "forecast", "series": "airport"}, "prepare": {"target": "departures"}}
    report, out = run_prepare(tmp_path_factory.mktemp("departures"), {"departures.csv": content}, asked)
    assert report.accepted, report.reasons
    return out


def test_departures_are_forecast_better_than_by_repeating_the_last_week(departures: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "job", departures)
    train_here(base)
    schema, held_out = read_schema(departures / "dataset"), Split(departures / "dataset/test").everything()
    network = FORECAST.network(schema, FORECAST.parse_options({}))
    network.load_state_dict(load_file(base / "model/weights.safetensors"))
    answers = optimise.predict_with_torch(optimise.Answers(network, FORECAST, schema), held_out, schema)
    naive = FORECAST.baseline(Split(departures / "dataset/train"), held_out, schema)
    model, baseline = (FORECAST.metrics(each, held_out, schema) for each in (answers, naive))
    assert model["mase"] < 0.85 * baseline["mase"]
    assert model["rmse"] < 0.85 * baseline["rmse"]
    assert answers.min() >= 0  # as all that it has seen


def test_a_series_that_is_not_known_is_forecast_without_chance(departures: Path) -> None:
    schema = read_schema(departures / "dataset")
    seeded = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        names = FORECAST.network(schema, FORECAST.parse_options({})).get_submodule("names")
        seeded.append(names(torch.tensor([0, 1])).detach())
    assert torch.equal(seeded[0][0], seeded[1][0])  # no training window has it, so it stays as it began
    assert not torch.equal(seeded[0][1], seeded[1][1])


def test_the_week_is_found_and_named(departures: Path) -> None:
    schema = read_schema(departures / "dataset")
    assert schema.features[0].statistics["season"] == 168
    assert schema.labels == tuple(f"t+{hour}" for hour in range(1, 25))
    assert schema.features[2].vocabulary == ("EWR", "JFK", "LGA")
    notes = json.loads((departures / "dataset_report.json").read_text())["reasons"]
    assert notes[0].startswith("the season is 168 steps (1 week): the autocorrelation peaks there, at 0.9")
    assert notes[1] == "one hour is a step; from 336 steps (2 weeks), 24 steps (1 day) are forecast"


def test_no_window_predicts_what_an_earlier_split_has_seen(departures: Path) -> None:
    parts = splits(departures)
    ends = {name: arrays["start"].max() + 24 * 3600 for name, arrays in parts.items()}
    assert ends["train"] <= parts["validation"]["start"].min()
    assert ends["validation"] <= parts["test"]["start"].min()
    assert all((np.diff(arrays["start"][:, 0]) % 3600 == 0).all() for arrays in parts.values())


def test_nothing_is_learned_of_values_that_are_held_out(tmp_path: Path) -> None:
    values = flow()
    jump = [1000 + 50 * value * (-1) ** hour for hour, value in enumerate(values[-48:])]
    learned, errors = [], []
    for name, series in (("as it was", values), ("otherwise", values[:-48] + jump)):
        _, out = prepared(tmp_path / name, csv(*rows(series)))
        learned.append(read_schema(out / "dataset"))
        errors.append({split: {*arrays["naive_error"].tolist()} for split, arrays in splits(out).items()})
        assert splits(out)["test"][LABEL].shape[0] > 0
    assert learned[0] == learned[1]
    assert errors[0] == errors[1]


def test_a_window_is_what_came_before_its_start_and_what_came_after(tmp_path: Path) -> None:
    values = flow()
    _, out = prepared(tmp_path, csv(*rows(values)), horizon=3, history=24, seasonality=24)
    for arrays in splits(out).values():
        for history, start, label in zip(arrays["history"], arrays["start"], arrays[LABEL], strict=True):
            place = int((start[0] - MONDAY.timestamp()) // 3600)
            np.testing.assert_allclose(history, values[place - 24 : place], atol=1e-3)
            np.testing.assert_allclose(label, values[place : place + 3], atol=1e-3)


def test_order_and_files_do_not_matter_and_gaps_are_missing(tmp_path: Path) -> None:
    lines = rows(flow(), "A")
    shuffled = random.Random(1).sample(lines, len(lines))
    first, out = prepared(tmp_path / "a", csv(*lines), horizon=3)
    files = {"a.csv": csv(*shuffled[:200]), "b.csv": csv(*shuffled[200:])}
    second, _ = run_prepare(tmp_path / "b", files, settings(horizon=3))
    assert first.fingerprint == second.fingerprint
    gone = lines[:100] + lines[104:]
    gone[50] = gone[50].rsplit(",", 1)[0] + ","
    report, holes = prepared(tmp_path / "c", csv(*gone), horizon=3, history=48, seasonality=24)
    assert report.accepted
    assert report.rejected_rows == 0
    everything = np.concatenate([arrays["history"] for arrays in splits(holes).values()])
    assert np.isnan(everything).sum() == 5 * 48 - 1  # one is in a window that is left out: it has no future
    assert not np.isnan(splits(out)["train"]["history"]).any()


def test_series_that_begin_and_end_apart_share_one_calendar(tmp_path: Path) -> None:
    long, late = rows(flow(), "A"), rows(flow(level=9.0), "B")[300:]
    report, out = prepared(tmp_path, csv(*long, *late), series="road", horizon=2, history=24, seasonality=24)
    parts = splits(out)
    assert report.accepted
    assert {int(code) for code in parts["train"]["category"][:, 0]} == {1, 2}
    assert parts["train"]["naive_error"].max() > 2 * parts["train"]["naive_error"].min()
    assert read_schema(out / "dataset").features[2].vocabulary == ("A", "B")


def test_rows_that_cannot_be_placed_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    lines = rows(flow(), "A")
    bad = ["yesterday,A,1", "2026-01-06T00:00,A,many", "2026-01-06T00:30,A,1", "2026-01-07T00:00,A,7", ",A,1"]
    bad += ["2026-01-08T00:00,,1", "2026-02-30,A,1"]
    report, out = prepared(tmp_path, csv(*lines, *bad), series="road", horizon=2)
    assert report.accepted
    kept = [json.loads(line) for line in (out / "quarantine/rows.jsonl").read_text().splitlines()]
    reasons = {line["row"] - len(lines): line["reason"] for line in kept}
    assert reasons[1] == "'yesterday' in column 'time' is no time; write 2026-01-31T08:00 (ISO 8601)"
    assert reasons[2] == "'many' in column 'flow' is no number, or too large a one"
    assert reasons[3] == "'2026-01-06T00:30' lies between two steps; times are one hour apart"
    assert reasons[4] == "'2026-01-07T00:00' is there twice in one series"
    assert reasons[5] == "has no value in the column 'time'"
    assert reasons[6] == "has no value in the column 'road', which names its series"
    assert "'2026-02-30'" in reasons[7]
    assert report.rejected_rows == 7


FLAT = [5.0] * 504


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        (csv(*rows(flow(40))), {"horizon": 24}, r"the series span 40 steps, .* a horizon of 24 needs \d+: upload"),
        (csv(*rows(flow())), {"history": 12, "seasonality": 24}, "less than the season of 24 steps"),
        (csv(*rows(FLAT)), {}, "'flow' never changes among the training times"),
        (csv(*rows(FLAT, "A"), *rows(FLAT, "B")), {"series": "road"}, "no series has two different values"),
        (csv(*rows(flow(), "A"), *rows(flow(), "B"), *rows(flow(), "C")), {}, "name the column .* in recipe.series"),
        (csv(*rows(flow()), "2999-01-01T00:00,,1"), {}, "to 2999-01-01T00:00, .* steps of one hour"),
        (csv(*rows(flow())), {"series": "raod"}, "recipe.series names 'raod', .* Did you mean 'road'"),
        (csv(*rows(flow())), {"time": "when"}, "recipe.time names 'when'"),
        ("a,flow\n" + "1,2\n" * 50, {}, "no column holds times"),
        ("t,u,flow\n" + "2026-01-01,2026-01-02,2\n" * 50, {}, "'t', 'u' hold times; name the one that counts"),
        ("time,flow\n2026-01-01,1\n", {}, "no series has two times"),
        ("time,flow\nsoon,1\n", {"time": "time"}, "no good row"),
        (csv(*rows(flow()), *("x,,1" for _ in range(40))), {}, r"40 of 544 rows are bad \(7.4%\)"),
    ],
    ids=["short", "history", "flat", "all flat", "unnamed", "typo", "series", "time", "no time", "two times",
         "one row", "no row", "bad rows"],
)  # fmt: skip
def test_what_cannot_be_forecast_is_refused_with_the_fix(
    text: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    report, _ = prepared(tmp_path, text, **options)
    assert not report.accepted
    assert re.search(reason, report.reasons[0]), report.reasons


def test_a_target_that_is_no_column_is_refused(tmp_path: Path) -> None:
    asked = {**settings(), "prepare": {"target": "flaw"}}
    report, _ = run_prepare(tmp_path, {"flow.csv": csv(*rows(flow()))}, asked)
    assert "prepare.target names 'flaw'" in report.reasons[0]
    assert "Did you mean 'flow'" in report.reasons[0]


@pytest.mark.parametrize("option", ["horizon", "history", "seasonality"])
def test_negative_lengths_are_refused_before_anything_runs(option: str) -> None:
    with pytest.raises(InvalidConfig, match=f"recipe.{option}: -3"):
        request(settings(**{option: -3}))


def test_a_series_that_never_changes_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    report, out = prepared(tmp_path, csv(*rows(flow(), "A"), *rows(FLAT, "B")), series="road", horizon=2)
    assert report.accepted
    assert "series without two different values among the training times are left out: 1" in report.reasons
    assert read_schema(out / "dataset").features[2].vocabulary == ("A",)


def test_months_and_short_series_are_forecast_too(tmp_path: Path) -> None:
    months = [f"{1980 + n // 12}-{n % 12 + 1:02}-01,,{n + 20 * math.sin(n * math.pi / 6)}" for n in range(144)]
    report, out = prepared(tmp_path, csv(*months))
    assert report.accepted, report.reasons
    assert report.reasons[1].startswith("the season is 12 steps (1 year)")
    train_here(training_job(tmp_path / "job", out, epochs=2))


def test_huge_values_are_learned_without_overflow(tmp_path: Path) -> None:
    text = csv(*rows([value * 1e33 for value in flow()]))
    report, out = prepared(tmp_path, text, horizon=2)
    assert report.accepted, report.reasons
    base = training_job(tmp_path / "job", out, epochs=2)
    train_here(base)  # raises when the loss is no number


def test_missing_truth_counts_nowhere() -> None:
    truth = np.array([[1.0, np.nan], [3.0, 0.0]], np.float32)
    answers = np.array([[2.0, 100.0], [3.0, 0.0]], np.float32)
    found = forecasts.metrics(answers, truth, np.array([2.0, 4.0]))
    assert found["mae"] == pytest.approx(1 / 3)
    assert found["mase"] == pytest.approx(0.5 / 3)
    assert found["smape"] == pytest.approx((2 / 3) / 3)
    assert found["rmse"] == pytest.approx(math.sqrt(1 / 3))
    schema = simple_schema()
    outputs = torch.tensor([[0.5, 7.0], [1.0, 1.0]], requires_grad=True)
    loss = FORECAST.loss(outputs, torch.from_numpy(truth), schema)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert outputs.grad is not None
    assert outputs.grad[0, 1] == 0


def test_repeating_the_season_fills_what_is_missing_from_earlier_ones() -> None:
    history = np.array([[1, 2, 3, 4, np.nan, 6], [np.nan] * 6, [np.nan, 2, np.nan, 4, np.nan, 6]], np.float32)
    assert seasons.repeat(history, 2, 3).tolist() == [[3, 6, 3], [0, 0, 0], [4, 6, 4]]


def test_noise_and_walks_have_no_season() -> None:
    noise = np.random.default_rng(0).normal(size=500)
    assert seasons.find([noise]) == (1, 0.0)
    assert seasons.find([np.arange(300.0)])[0] == 1
    with_gaps = np.sin(np.arange(400) * 2 * np.pi / 7) + noise[:400] / 5
    with_gaps[::5] = np.nan
    assert seasons.find([with_gaps, with_gaps[:90]])[0] == 7


def test_splits_need_room_for_what_they_predict() -> None:
    series = [Series(name="", first=0, values=np.arange(100.0))]
    calendar = Calendar.of(series, validation_fraction=0.1, test_fraction=0.2)
    assert (calendar.validation, calendar.test, calendar.end) == (70, 80, 100)
    assert calendar.split(np.array([0, 66, 67, 70, 76, 77, 80]), 4).tolist() == [0, 0, -1, 1, 1, -1, 2]


def test_the_clock_tells_only_periods_that_were_seen_twice() -> None:
    assert Clock(step=3600, span=3 * 86400).width == 6
    clock = Clock(step=3600, span=15 * 86400)
    six, noon = (torch.tensor([[hour * 3600]]) for hour in (6, 12))
    assert clock(six).shape == (1, 12)
    torch.testing.assert_close(clock(noon)[:, 0], torch.tensor([0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(clock(six)[:, 0], torch.tensor([1.0]))
    assert Clock(step=86400 * 30, span=86400 * 100).width == 0


def test_what_is_asked_is_what_was_prepared(departures: Path) -> None:
    schema, held_out = read_schema(departures / "dataset"), Split(departures / "dataset/test").everything()
    rows = list(originals.read(departures / "dataset/originals"))
    encoded = FORECAST.encode(rows, schema)
    for name in ("history", "start", "category"):
        np.testing.assert_array_equal(encoded[name], held_out[name])
    arrays: Mapping[str, NDArray] = {name: array[7] for name, array in held_out.items()}
    instance = FORECAST.instance(arrays, schema)
    assert instance["series"] == "EWR"
    assert len(instance["history"]) == 336
    other = json.loads(rows[0])
    with pytest.raises(ValueError, match="looks back 336 steps, and there are 5"):
        FORECAST.encode([json.dumps({**other, "history": [1] * 5}).encode()], schema)
    with pytest.raises(ValueError, match="one day is a step here, and one hour"):
        FORECAST.encode([json.dumps({**other, "step": {"seconds": 86400, "months": 0, "phase": 0}}).encode()], schema)


def simple_schema() -> Schema:
    statistics = {"mean": 0.0, "std": 1.0, "min": -9.0, "max": 9.0}
    return Schema(
        task="regression", inputs=(), features=(), labels=("t+1", "t+2"), target="y", metric="mase",
        statistics=statistics,
    )  # fmt: skip
