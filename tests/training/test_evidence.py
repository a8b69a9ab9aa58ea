"""Whom a model serves worse, what it looks at and what it withstands, of models trained in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract import keys, names
from contract.config import Gate
from contract.gate import decide
from contract.reports import EvaluationReport
from tests.training.builders import csv, evaluation_job, run_prepare
from training import attributions, fairness, robustness
from training.evaluate import main


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that evaluates a model and returns the report."""

    def evaluate(dataset: Path, model: Path, **settings: Any) -> EvaluationReport:
        base = evaluation_job(tmp_path / "job", dataset, model, settings=settings)
        monkeypatch.setenv(names.BASE_DIR, str(base))
        monkeypatch.setenv(names.CHAMPION_PACKAGE, "")
        main()
        document = json.loads((base / names.PROCESSING_OUTPUT / Path(keys.EVALUATION_REPORT).name).read_text())
        return EvaluationReport.from_dict(document)

    return evaluate


def test_a_table_s_model_is_told_apart_by_group_feature_and_disturbance(
    trained_table: Path, report: Any, tmp_path: Path
) -> None:
    _, larger = run_prepare(tmp_path / "larger", {"rows.csv": csv(600)})
    found = report(larger, trained_table, evaluate={"groups": ["region", "age"]}, gate={"max_group_gap": 0.0})
    regions = [group for group in found.groups if group.column == "region"]
    ages = [group for group in found.groups if group.column == "age"]
    assert {group.value for group in regions} == {"north", "south", "east", "(missing)"}
    assert sum(group.rows for group in regions) == sum(group.rows for group in ages) == found.rows
    assert len(ages) == fairness.BINS
    assert [group.metric for group in ages] == sorted(group.metric for group in ages), "the worst first"
    assert list(found.importance) == sorted(found.importance, key=lambda name: -found.importance[name])
    assert found.importance.keys() == {"income", "age", "region"}
    assert min(found.importance["income"], found.importance["age"]) > found.importance["region"]
    whole, *disturbed = found.robustness
    assert whole.metric == pytest.approx(found.metrics["accuracy"])
    assert [each.name for each in disturbed] == ["noise of 10% of each deviation", "10% of the cells empty"]
    assert all(0.5 < each.metric <= whole.metric + 0.05 for each in disturbed)
    assert not found.verdict.promote
    assert "between groups of" in found.verdict.reasons[-1]


def test_the_squares_of_an_image_are_covered_one_by_one(images: Path, trained_images: Path, report: Any) -> None:
    found = report(images, trained_images)
    assert len(found.importance) == attributions.GRID**2
    assert max(found.importance, key=lambda name: found.importance[name]) == next(iter(found.importance))
    assert [each.name for each in found.robustness][1:] == ["noise of 16 of 255 on each pixel", "light at 70%"]


def test_nothing_is_measured_that_nobody_asked_for(table: Path, trained_table: Path, report: Any) -> None:
    found = report(table, trained_table, evaluate={"evidence_rows": 0})
    assert (found.groups, found.importance, found.robustness) == ((), {}, ())


def test_a_column_of_numbers_is_cut_into_quarters() -> None:
    assert fairness._bins(["1", "x", "2"]) == []
    assert fairness._bins(["1", "0", "1", ""]) == [], "few numbers are groups by themselves"
    cut = fairness._bins([*map(str, range(8)), ""])
    assert cut == ["below 1.75"] * 2 + ["1.75 to 3.5"] * 2 + ["3.5 to 5.25"] * 2 + ["5.25 and more"] * 2 + [""]


def test_only_what_a_disturbance_is_about_is_changed(table: Path) -> None:
    rows: dict[str, np.ndarray] = {
        "numeric": np.ones((50, 2), np.float32),
        "category": np.ones((50, 1), np.int64),
        "label": np.arange(50),
    }
    seen: list[dict[str, Any]] = []

    def score(given: Any) -> float:
        seen.append(dict(given))
        return 0.5

    schema = json.loads((table / keys.DATASET_SCHEMA).read_text())
    robustness.under_noise(score, rows, robustness.Schema.from_dict(schema), whole=0.5)
    for given in seen:
        assert (given["label"] == rows["label"]).all()
        assert given["numeric"].dtype == np.float32
    empty = seen[1]
    assert 0.02 < np.isnan(empty["numeric"]).mean() < 0.3
    assert 0.0 < (empty["category"] == 0).mean() < 0.3


def test_a_gap_between_groups_is_a_reason_of_its_own() -> None:
    numbers: dict[str, Any] = {
        "metric": "accuracy", "higher_is_better": True, "challenger": 0.9, "baseline": 0.5, "champion": None,
    }  # fmt: skip
    narrow = decide(Gate(max_group_gap=0.1), **numbers, gaps={"region": 0.1})
    assert narrow.promote
    wide = decide(Gate(max_group_gap=0.1), **numbers, gaps={"region": 0.1, "age": 0.11})
    assert not wide.promote
    assert wide.reasons[-1] == "accuracy differs by 0.1100 between groups of 'age'; 0.1000 is allowed"
    assert decide(Gate(), **numbers, gaps={"region": 0.9}).promote
