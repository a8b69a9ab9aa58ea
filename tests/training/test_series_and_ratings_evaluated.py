"""Forecasts and recommendations are judged, compared with a champion that sees otherwise, and served alike."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract import names
from contract.golden import Golden
from contract.reports import EvaluationReport
from serving.model import load
from tests.training.builders import evaluation_job, run_prepare, train_here, training_job
from tests.training.test_forecast import csv, flow, rows
from tests.training.test_recommend import bought, text
from training.evaluate import main


class Line:
    """Uploads of one project, from preparation to evaluation."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch, self._count = folder, patch, 0

    def run(
        self, content: str, settings: dict[str, Any], champion: Path | None = None, **train: Any
    ) -> tuple[EvaluationReport, Path]:
        """Return the report and the folder of the evaluation."""
        self._count += 1
        here = self._folder / str(self._count)
        report, out = run_prepare(here / "p", {"rows.csv": content}, settings)
        assert report.accepted, report.reasons
        train_here(training_job(here / "job", out, **train))
        base = evaluation_job(here / "e", out, here / "job", champion=champion)
        self._patch.setenv(names.BASE_DIR, str(base))
        self._patch.setenv(names.CHAMPION_PACKAGE, "arn:champion" if champion else "")
        self._patch.setenv(names.CHAMPION_VERSION, "3" if champion else "")
        main()
        done = base / names.PROCESSING_OUTPUT
        return EvaluationReport.from_dict(json.loads((done / "evaluation_report.json").read_text())), done


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(tmp_path, monkeypatch)


def served(done: Path) -> None:
    """Ask a server for the golden samples of an evaluation."""
    folder = done / "served"
    with tarfile.open(done / "model.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    model, golden = load(folder), Golden.from_dict(json.loads((done / "golden.json").read_text()))
    assert golden.samples
    for sample in golden.samples:
        arrays = model.reader.decoders[sample.content_type](sample.body.encode())
        expected = [list(sample.outputs.values())]
        np.testing.assert_allclose(model.answers(arrays), expected, atol=golden.tolerance)
        assert list(sample.outputs) == list(model.labels)


SERIES = csv(*rows(flow(), "A"), *rows(flow(seed=1, level=40.0), "B"))


def forecast(**options: Any) -> dict[str, Any]:
    return {
        "recipe": {"name": "forecast", "series": "road", "seasonality": 24, "horizon": 6, **options},
        "prepare": {"target": "flow"},
    }


def test_a_forecast_is_judged_against_the_last_season_and_served(line: Line) -> None:
    gaps = SERIES.splitlines()
    del gaps[480:484]
    report, done = line.run("\n".join(gaps), forecast(), epochs=4)
    assert report.verdict.promote, report.verdict.reasons
    assert report.metrics["mase"] < 0.9 * report.baseline["mase"]
    assert set(report.metrics) == {"mase", "smape", "mae", "rmse"}
    assert np.isfinite(np.array(json.loads((done / "pairs.json").read_text()))).all()
    assert np.isfinite(list(report.error_quantiles.values())).all()
    served(done)


def test_a_champion_that_looks_back_further_is_asked_its_own_history(line: Line) -> None:
    alone, done = line.run(SERIES, forecast(history=96), epochs=3)
    report, _ = line.run(SERIES, forecast(history=48), champion=done / "model.tar.gz", epochs=1)
    assert report.champion
    assert report.champion.metrics["mase"] == pytest.approx(alone.metrics["mase"], rel=1e-4)
    assert not report.verdict.promote


@pytest.mark.parametrize(
    ("options", "note"),
    [({"horizon": 3}, "predicts"), ({"history": 200}, "looks back 200 steps, and there are 96")],
    ids=["horizon", "history"],
)
def test_a_champion_that_cannot_be_compared_is_noted(options: dict[str, Any], note: str, line: Line) -> None:
    _, done = line.run(SERIES, forecast(**options), epochs=1)
    report, _ = line.run(SERIES, forecast(history=48), champion=done / "model.tar.gz", epochs=1)
    assert report.champion
    assert note in report.champion.note


def test_choices_are_judged_against_popularity_and_served(line: Line) -> None:
    settings = {"recipe": {"name": "recommend"}, "prepare": {"target": ""}}
    report, done = line.run(text(*bought()), settings)
    assert report.verdict.promote, report.verdict.reasons
    assert report.metric == "ndcg_at_10"
    assert report.metrics["ndcg_at_10"] > 2 * report.baseline["ndcg_at_10"]
    served(done)
    again, _ = line.run(text(*bought()), settings, champion=done / "model.tar.gz")
    assert again.champion
    assert again.champion.metrics["ndcg_at_10"] == pytest.approx(report.metrics["ndcg_at_10"])
    assert not again.verdict.promote
