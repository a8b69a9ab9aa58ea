"""Tables whose target is a value; dates and categories of many values among their columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from contract import keys, names
from contract.dates import DATE_PARTS, PARTS
from contract.golden import Golden
from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from contract.reports import MAX_PAIRS, EvaluationReport
from serving.table_inputs import TableReader
from tests.e2e.data import fares
from tests.training.builders import ROOT, csv, evaluation_job, run_prepare, train_here, training_job
from training import archive, champion, metrics, optimise, originals, recipes
from training.columns import Words
from training.data import LABEL, ROW, Split, read_schema
from training.encoding import decode
from training.evaluate import main
from training.layers import Additive, Standardise

LINE = (ROOT / "examples/linear/line.csv").read_text()
LINEAR: dict[str, Any] = {"recipe": {"name": "linear"}, "prepare": {"target": ""}}
FARE: dict[str, Any] = {"prepare": {"target": "fare"}}


def quarantined(out: Path) -> dict[int, str]:
    """Return the reasons by row."""
    lines = (out / "quarantine/rows.jsonl").read_text().splitlines()
    return {line["row"]: line["reason"] for line in map(json.loads, lines)}


def table(target: Callable[[int], object], rows: int = 120) -> str:
    return "x,risk\n" + "".join(f"{row % 37},{target(row)}\n" for row in range(rows))


# --- what the target is ---


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (lambda row: row % 21, "regression"),
        (lambda row: row % 20, "classification"),
        (lambda row: row % 3 / 2, "regression"),
        (lambda row: row % 2 / 2, "classification"),
        (lambda row: "n" * (row % 2) + str(row % 5), "classification"),
    ],
    ids=["many whole numbers", "few whole numbers", "numbers", "two numbers", "text among numbers"],
)
def test_the_values_tell_what_is_learned_and_the_report_says_it(
    tmp_path: Path, target: Callable[[int], object], task: str
) -> None:
    report, out = run_prepare(tmp_path / "a", {"rows.csv": table(target, 240)})
    assert report.accepted, report.reasons
    schema = read_schema(out / keys.DATASET)
    assert report.task == schema.task == task
    assert (report.metric == "rmse") == (task == "regression")
    label = Split(out / keys.DATASET / "train").labels
    assert (label.dtype, label.ndim) == ((np.float32, 2) if task == "regression" else (np.int64, 1))
    numbers = not isinstance(target(1), str)
    assert any("'risk' holds" in reason and task in reason for reason in report.reasons) == numbers


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_option_decides_otherwise(tmp_path: Path, task: str) -> None:
    content = table(lambda row: row % 7)
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": content}, {"recipe": {"name": "tabular", "task": task}})
    assert (report.accepted, report.task, report.reasons) == (True, task, ())


def test_targets_that_are_no_numbers_are_set_aside_row_by_row(tmp_path: Path) -> None:
    bad = {5: "n.a.", 17: "1,5", 40: "1e400", 60: ""}
    content = table(lambda row: bad.get(row, row / 8))
    report, out = run_prepare(tmp_path / "a", {"rows.csv": content})
    assert (report.accepted, report.task, report.rejected_rows) == (True, "regression", 4)
    reasons = quarantined(out)
    assert sorted(reasons) == [row + 1 for row in bad]
    assert reasons[6] == "'n.a.' in column 'risk' is no number, or too large a one"
    assert "no value in the column 'risk'" in reasons[61]
    assert "rows.csv, row 6: a value in column 'risk' is no number, or too large a one" in report.reasons
    rows = np.concatenate([Split(out / keys.DATASET / name).everything()[ROW] for name in keys.SPLITS])
    assert set(rows.tolist()) == set(range(120)) - set(bad)


@pytest.mark.parametrize(
    ("target", "rows", "says"),
    [
        (lambda row: 1.5, 120, "every training row has the same value, 1.5, in 'risk'"),
        (lambda row: 1e9 + row / 100, 120, "float32 hardly tells apart: subtract a constant"),
        (lambda row: row / 8, 12, "at least 10 are needed"),
        (lambda row: "abc" if row % 2 else row / 8, 120, "60 of 120 rows are bad (50.0%)"),
    ],
    ids=["constant", "too close for float32", "too few", "text"],
)
def test_values_that_cannot_be_learned_are_rejected(
    tmp_path: Path, target: Callable[[int], object], rows: int, says: str
) -> None:
    settings = {"recipe": {"name": "tabular", "task": "regression"}}
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": table(target, rows)}, settings)
    assert (report.accepted, report.outcome) == (False, "REJECTED")
    assert says in " | ".join(report.reasons)


def test_the_statistics_are_those_of_the_training_rows(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"rows.csv": table(lambda row: row / 8)})
    train = Split(out / keys.DATASET / "train").labels.astype(np.float64)
    found = {"mean": train.mean(), "std": train.std()}
    assert report.statistics == pytest.approx(found)
    schema = read_schema(out / keys.DATASET)
    assert schema.scale == report.statistics["std"]
    assert schema.statistics == pytest.approx(found | {"min": train.min(), "max": train.max()})


# --- dates and categories of many values ---


def test_dates_become_columns_and_mistakes_are_set_aside(tmp_path: Path) -> None:
    content = fares(300) + "yesterday,driver-1,3.0,12.5\n"
    report, out = run_prepare(tmp_path / "a", {"rows.csv": content}, FARE)
    assert report.rejected_rows == 1
    assert "'yesterday' in column 'pickup' is no date; expected a date like 2026-01-31" in quarantined(out)[301]
    schema = read_schema(out / keys.DATASET)
    assert [feature.part for feature in schema.features if feature.kind == "date"] == list(PARTS)
    assert schema.inputs[0] == Tensor(name="numeric", dtype="float32", shape=(-1, 1 + len(PARTS)))
    missing = [feature.statistics["missing"] > 0 for feature in schema.features if feature.kind == "date"]
    assert missing == [True] + [False] * (len(PARTS) - 1)


def test_dates_without_a_time_of_day_have_fewer_columns(tmp_path: Path) -> None:
    days = "".join(f"2026-{1 + row % 12:02}-{1 + row % 28:02},{row / 8}\n" for row in range(120))
    _, out = run_prepare(tmp_path / "a", {"rows.csv": "day,risk\n" + days})
    assert [feature.part for feature in read_schema(out / keys.DATASET).features] == list(DATE_PARTS)


def test_dates_that_are_not_iso_are_categories_and_the_report_says_how_to_write_them(tmp_path: Path) -> None:
    days = "".join(f"{1 + row % 12}/{1 + row % 4}/2026,{row / 8}\n" for row in range(120))
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "day,risk\n" + days})
    assert {feature.kind for feature in read_schema(out / keys.DATASET).features} == {"category"}
    assert any("'day'" in reason and "write 2026-01-31" in reason for reason in report.reasons)


def test_a_missing_value_is_worth_no_bucket() -> None:
    words = Words()
    words.add(["often", "often", "once", "twice", "thrice", ""])
    assert words.vocabulary(10) == ("often",)
    assert words.buckets(("often",), 256) == 0  # three others; four would be worth one
    words.add(["four"])
    assert words.buckets(("often",), 256) == 1


@pytest.mark.parametrize(("limit", "expected"), [(256, 10), (3, 3), (0, 0)])
def test_rare_values_share_buckets_as_far_as_they_are_learned(tmp_path: Path, limit: int, expected: int) -> None:
    rows = [(f"city-{row % 20}" if row < 200 else f"village-{row}", row / 8) for row in range(260)]
    content = "n,place,risk\n" + "".join(f"{n},{place},{value}\n" for n, (place, value) in enumerate(rows))
    settings = {"recipe": {"name": "tabular", "buckets": limit}}
    _, out = run_prepare(tmp_path / "a", {"rows.csv": content}, settings)
    _, place = read_schema(out / keys.DATASET).features
    assert len(place.vocabulary) == 20
    villages = {row for row in Split(out / keys.DATASET / "train").everything()[ROW].tolist() if row >= 200}
    assert place.buckets == min(limit, len(villages) // 4)
    assert abs(place.buckets - expected) <= 2 * (limit == 256)
    codes = Split(out / keys.DATASET / "test").everything()["category"]
    assert codes.max() < place.codes
    assert (codes > 20).any() == (limit > 0)


def test_preparation_server_and_champion_read_the_same(tmp_path: Path) -> None:
    settings = {**FARE, "privacy": {"generalise": {"km": 0.3}}}
    _, out = run_prepare(tmp_path / "a", {"rows.csv": fares(400)}, settings)
    schema = read_schema(out / keys.DATASET)
    test = Split(out / keys.DATASET / "test").everything()
    assert schema.features[-1].buckets > 0
    header, *lines = fares(400).splitlines()
    asked = "\n".join([header, *(lines[row] for row in test[ROW].tolist())]).encode()
    reader, recipe = TableReader(schema), recipes.load("tabular")
    kept = recipe.encode(list(originals.read(out / keys.DATASET_ORIGINALS)), schema)
    instances = [decode({name: array[row] for name, array in test.items()}, schema) for row in range(len(test[ROW]))]
    for read in (reader.from_csv(asked), kept, reader.from_json(json.dumps({"instances": instances}).encode())):
        for name in ("numeric", "category"):
            assert read[name].dtype == test[name].dtype
            np.testing.assert_array_equal(read[name], test[name])


# --- learning, answering, judging ---


def test_the_line_is_that_of_least_squares(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"line.csv": LINE}, LINEAR)
    assert "the last one, 'y', is learned" in report.reasons[0]
    base = training_job(tmp_path / "job", out)
    train_here(base)
    schema, weights = read_schema(out / keys.DATASET), load_file(base / "model/weights.safetensors")
    x = schema.features[0].statistics
    slope = float(weights["weights.weight"][0, 0]) * schema.scale / x["std"]
    intercept = float(weights["bias"][0]) * schema.scale + schema.statistics["mean"] - slope * x["mean"]
    train = Split(out / keys.DATASET / "train").everything()
    expected = np.polyfit(train["numeric"][:, 0].astype(np.float64), train[LABEL][:, 0].astype(np.float64), 1)
    assert slope == pytest.approx(expected[0], rel=2e-3)
    assert intercept == pytest.approx(expected[1], abs=0.05)


def test_a_linear_model_adds_up_numbers_and_categories_of_any_number_of_rows() -> None:
    numbers = Standardise([{"mean": 1.0, "std": 2.0, "missing": 0.0}] * 4, clip=1e6)
    model = Additive(numbers, [3, 2], 2)
    given = torch.full((5, 4), 5.0), torch.tensor([[2, 1]] * 5)
    assert model(*given).tolist() == [[0.0, 0.0]] * 5
    with torch.no_grad():
        model.bias.copy_(torch.tensor([1.0, 2.0]))
        assert model.weights
        model.weights.weight.fill_(0.5)
        assert model.categories
        model.categories.table.weight.copy_(torch.arange(10.0).reshape(5, 2))
    # 4 columns of 2 deviations, weight 0.5, over the root of 4; codes 2 and 3 + 1 of the table.
    torch.testing.assert_close(model(*given), torch.tensor([[1 + 2 + 4 + 8.0, 2 + 2 + 5 + 9.0]] * 5))


def test_metrics_of_values_are_those_of_the_textbook() -> None:
    labels, values = np.array([[1.0], [2.0], [6.0]], np.float32), np.array([[2.0], [2.0], [4.0]])
    found = metrics.regression(values, labels)
    assert found == pytest.approx({"rmse": np.sqrt(5 / 3), "mae": 1.0, "r2": 1 - 5 / 14})
    assert metrics.regression(labels, labels) == {"rmse": 0.0, "mae": 0.0, "r2": 1.0}
    constant = np.full((3, 1), 2.0, np.float32)
    assert metrics.regression(values, constant)["r2"] == 0.0
    assert metrics.regression(constant, constant)["r2"] == 1.0


def values_schema(*labels: str, std: float = 4.0) -> Schema:
    feature = Feature(name="x", kind="number", statistics={"mean": 0.0, "std": 1.0, "missing": 0.0})
    return Schema(
        task="regression",
        inputs=(Tensor(name="numeric", dtype="float32", shape=(-1, 1)),),
        features=(feature,),
        labels=labels,
        target="t",
        metric="rmse",
        statistics={"mean": 10.0, "std": std, "min": 0.0, "max": 20.0},
    )


def test_the_network_learns_standardised_values_and_answers_in_the_targets_units() -> None:
    recipe, schema = recipes.load("tabular"), values_schema("a", "b")
    labels = torch.tensor([[14.0, 6.0], [10.0, 10.0]])
    outputs = torch.tensor([[1.0, -1.0], [0.5, 0.0]])
    torch.testing.assert_close(recipe.answer(outputs, schema), torch.tensor([[14.0, 6.0], [12.0, 10.0]]))
    torch.testing.assert_close(recipe.loss(outputs, labels, schema), torch.tensor([0.0, 0.125]))


def test_the_baseline_of_values_answers_the_mean_of_each_column(tmp_path: Path) -> None:
    save_file({LABEL: np.array([[1, 10], [3, 20]], np.float32)}, tmp_path / "00000.safetensors")
    rows: Mapping[str, NDArray] = {LABEL: np.zeros((3, 2), np.float32)}
    answers = recipes.load("tabular").baseline(Split(tmp_path), rows, values_schema("a", "b"))
    assert answers.tolist() == [[2.0, 15.0]] * 3


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return what preparation left of the fares, and the base folder of a training job that learned them."""
    folder = tmp_path_factory.mktemp("fares")
    report, out = run_prepare(folder / "a", {"rows.csv": fares(400)}, FARE)
    assert report.accepted, report.reasons
    base = training_job(folder / "job", out, epochs=8, learning_rate=0.01)
    train_here(base)
    return out, base


def evaluate(base: Path, monkeypatch: pytest.MonkeyPatch, *, version: str = "") -> tuple[EvaluationReport, Golden]:
    """Run an evaluation job in this process."""
    monkeypatch.setenv(names.BASE_DIR, str(base))
    monkeypatch.setenv(names.CHAMPION_PACKAGE, "arn" if version else "")
    monkeypatch.setenv(names.CHAMPION_VERSION, version)
    main()
    out = base / names.PROCESSING_OUTPUT
    golden = Golden.from_dict(json.loads((out / "golden.json").read_text()))
    report = EvaluationReport.from_dict(json.loads((out / "evaluation_report.json").read_text()))
    assert report.pairs == ()
    return replace(report, pairs=json.loads((out / "pairs.json").read_text())), golden


def test_a_model_of_values_is_judged_in_the_targets_scale(
    job: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = job
    report, golden = evaluate(evaluation_job(tmp_path / "a", out, trained), monkeypatch)
    schema, test = read_schema(out / keys.DATASET), Split(out / keys.DATASET / "test").everything()
    mean = Split(out / keys.DATASET / "train").labels.mean()
    assert (report.task, report.metric, report.higher_is_better) == ("regression", "rmse", False)
    assert report.baseline["rmse"] == pytest.approx(np.sqrt(((test[LABEL] - mean) ** 2).mean()), rel=1e-6)
    assert report.baseline_name == "always answering with the training rows' mean"
    assert report.metrics["rmse"] < 0.5 * report.baseline["rmse"]
    assert report.verdict.promote
    assert report.forms[0].parity < 1e-5
    assert (report.confusion, report.labels) == ((), ("fare",))
    assert len(report.pairs) == min(len(test[ROW]), MAX_PAIRS)
    errors = [abs(true - predicted) for true, predicted in report.pairs]
    quantiles = report.error_quantiles
    assert quantiles["p50"] <= quantiles["p90"] <= quantiles["p99"] <= quantiles["max"]
    assert quantiles["max"] == pytest.approx(max(errors))
    assert golden.tolerance == pytest.approx(1e-3 * schema.scale)
    assert all(list(sample.outputs) == ["fare"] for sample in golden.samples)


def test_a_champion_of_values_is_compared_on_the_same_rows(
    job: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = job
    first = evaluation_job(tmp_path / "a", out, trained)
    alone, _ = evaluate(first, monkeypatch)
    package = first / names.PROCESSING_OUTPUT / "model.tar.gz"
    _, other = run_prepare(tmp_path / "b", {"rows.csv": fares(400)}, {**FARE, "recipe": {"name": "linear"}})
    base = training_job(tmp_path / "linear", other, epochs=5)
    train_here(base)
    report, _ = evaluate(evaluation_job(tmp_path / "c", other, base, champion=package), monkeypatch, version="3")
    assert report.champion
    assert report.champion.metrics == pytest.approx(alone.metrics)
    assert "champion" in report.verdict.reasons[0]


def test_a_champion_of_classes_is_no_rival_of_a_model_of_values(
    table: Path, trained_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluation_job(tmp_path / "a", table, trained_table)
    evaluate(first, monkeypatch)
    _, out = run_prepare(tmp_path / "b", {"rows.csv": csv(300)}, {"prepare": {"target": "income"}})
    base = training_job(tmp_path / "job", out, epochs=1)
    train_here(base)
    package = first / names.PROCESSING_OUTPUT / "model.tar.gz"
    report, _ = evaluate(evaluation_job(tmp_path / "c", out, base, champion=package), monkeypatch, version="3")
    assert report.champion
    assert report.champion.note == "the champion learned classification, this model regression"
    assert "baseline" in report.verdict.reasons[0]


class Fixed(torch.nn.Module):
    """Answers 1 deviation, 2 deviations and so on."""

    steps: torch.Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("steps", torch.arange(1.0, columns + 1))

    def forward(self, numeric: torch.Tensor) -> torch.Tensor:
        return numeric[:, :1] * 0 + self.steps


def ask(folder: Path, theirs: Schema, ours: Schema) -> NDArray[np.float32]:
    """Ask a champion with the schema ``theirs``."""
    recipe = recipes.load("tabular")
    model = optimise.Answers(Fixed(len(theirs.labels)), recipe, theirs)
    onnx = optimise.export(model, theirs, {"numeric": np.ones((2, 1), np.float32)})
    manifest = ModelManifest(
        format=FORMAT, tenant="t", project="p", run="r", recipe="tabular", options={}, schema=theirs
    )
    archive.pack(folder / "m.tar.gz", {"model.onnx": onnx, "manifest.json": json.dumps(manifest.to_dict()).encode()})
    rows = [b'{"x": "1"}', b'{"x": "2"}']
    return champion.predict(folder / "m.tar.gz", folder / "x", rows, schema=ours, recipe=recipe, hashed=())


def test_values_are_matched_by_name_and_stay_in_the_champions_scale(tmp_path: Path) -> None:
    got = ask(tmp_path, values_schema("a", "b"), values_schema("b", "a", std=100.0))
    assert got.tolist() == [[18.0, 14.0]] * 2


def test_a_champion_that_predicts_something_else_says_so(tmp_path: Path) -> None:
    with pytest.raises(champion.CannotRead, match="the champion predicts 'price', this model 'rent'"):
        ask(tmp_path, values_schema("price"), values_schema("rent"))
