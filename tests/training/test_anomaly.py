"""Recipe anomaly: rare rows are ranked first, and counted by what matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract import keys
from tests.training.builders import ROOT, learned, run_prepare, train_here, training_job
from training import metrics, optimise, recipes
from training.data import Split, read_schema
from training.recipes.anomaly import RARE, SHARE

PUMPS = (ROOT / "examples/pumps/pumps.csv").read_text()


def settings(target: str = "failed_within_a_day", **options: Any) -> dict[str, Any]:
    return {"recipe": {"name": "anomaly", **options}, "prepare": {"target": target}}


def test_failing_pumps_are_found(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"pumps.csv": PUMPS}, settings())
    assert report.accepted, report.reasons
    base = training_job(tmp_path / "job", out, epochs=12)
    train_here(base)
    answers, schema = learned(base)
    recipe, rows = recipes.load("anomaly"), Split(out / "dataset/test").everything()
    found = recipe.metrics(optimise.predict_with_torch(answers, rows, schema), rows, schema)
    guess = recipe.metrics(recipe.baseline(Split(out / "dataset/train"), rows, schema), rows, schema)
    assert schema.metric == "average_precision"
    assert found["average_precision"] > 10 * guess["average_precision"]
    assert guess["average_precision"] == pytest.approx((rows["label"] == schema.statistics[RARE]).mean())
    assert found["roc_auc"] > 0.9
    assert guess["roc_auc"] == 0.5


def test_the_rarer_class_is_looked_for_unless_another_is_named(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"pumps.csv": PUMPS}, settings())
    schema = read_schema(out / keys.DATASET)
    train = Split(out / "dataset/train").labels
    assert schema.labels[int(schema.statistics[RARE])] == "yes"
    assert schema.statistics[SHARE] == pytest.approx((train == 1).mean())
    _, out = run_prepare(tmp_path / "b", {"pumps.csv": PUMPS}, settings(find="no"))
    schema = read_schema(out / keys.DATASET)
    assert schema.labels[int(schema.statistics[RARE])] == "no"


def table(rare: int, others: int) -> str:
    rows = [f"{n * 0.37 % 5:.2f},{'bad' if n < rare else 'good'}" for n in range(rare + others)]
    return "x,state\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("content", "asked", "says"),
    [
        (table(30, 300), settings("state", find="badd"), "Did you mean 'bad'"),
        (table(6, 400), settings("state"), "rows of the class 'bad', at least"),
        ("x,state\n" + "1,a\n2,b\n3,c\n" * 40, settings("state"), "has 3 classes"),
        ("x,state\n" + "1,a\n2,a\n3,a\n" * 40, settings("state"), "has 1 class"),
    ],
    ids=["no such class", "too few", "three classes", "one class"],
)
def test_what_is_not_one_rare_class_and_another_is_rejected(
    tmp_path: Path, content: str, asked: dict[str, Any], says: str
) -> None:
    report, _ = run_prepare(tmp_path / "a", {"t.csv": content}, asked)
    assert report.outcome == "REJECTED"
    assert says in " | ".join(report.reasons)


def test_rare_rows_weigh_more_in_the_loss(tmp_path: Path) -> None:
    import torch

    _, out = run_prepare(tmp_path / "a", {"pumps.csv": PUMPS}, settings())
    schema, recipe = read_schema(out / keys.DATASET), recipes.load("anomaly")
    losses = recipe.loss(torch.zeros(2, 2), torch.tensor([0, 1]), schema)
    share = schema.statistics[SHARE]
    assert float(losses[1] / losses[0]) == pytest.approx(((1 - share) / share) ** 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_is_that_of_the_textbook(seed: int) -> None:
    source = np.random.default_rng(seed)
    scores, wanted = source.integers(0, 8, 30) / 8, np.arange(30) % 4 == 0
    precision = recall = 0.0
    area = 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        precision, before, recall = (wanted & taken).sum() / taken.sum(), recall, (wanted & taken).sum() / wanted.sum()
        area += (recall - before) * precision
    above = np.mean([(a > b) + 0.5 * (a == b) for a in scores[wanted] for b in scores[~wanted]])
    assert metrics.ranking(scores, wanted) == pytest.approx({"average_precision": area, "roc_auc": above})


def test_ranking_of_rows_of_one_kind_is_worth_nothing() -> None:
    for wanted in (np.zeros(3, bool), np.ones(3, bool)):
        assert metrics.ranking(np.arange(3.0), wanted) == {"average_precision": 0.0, "roc_auc": 0.5}
