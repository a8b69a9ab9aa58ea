"""A project goes on: from the version in service, with new rows and some earlier ones; or afresh, and says why."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest

from contract import keys
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table_toml
from tests.e2e.test_engine import trained
from training import archive, optimise, recipes

FRESH = table_toml(epochs=25, learning_rate=0.01).replace("[prepare]", "[prepare]\nreplay = 1.0")
GO_ON = FRESH.replace("[train]", '[train]\nstart = "champion"').replace("epochs = 25", "epochs = 8")
ENDS = (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION)


def rows(count: int, *, sides: tuple[int, ...], seed: int, years: str = "age") -> bytes:
    """Return a table in which the number ``side`` turns around what ``income`` says of the class."""
    source, text = random.Random(seed), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["income", "side", years, "risk"])
    for _ in range(count):
        income, side = source.uniform(-1, 1), source.choice(sides)
        label = "high" if (income > 0) == (side > 0) else "low"
        writer.writerow([f"{income:.5f}", f"{side + source.uniform(-0.2, 0.2):.4f}", source.randrange(18, 90), label])
    return text.getvalue().encode()


def accuracy(app: App, project: str, run: str, folder: Path, table: bytes) -> float:
    """Return how many rows of a table the model of a run classifies as it should."""
    package = folder / "model.tar.gz"
    package.write_bytes(app.read(keys.run_prefix("acme", project, run) + keys.MODEL))
    manifest = archive.unpack(package, folder / "model")
    asked = list(csv.DictReader(io.StringIO(table.decode())))
    inputs = recipes.load(manifest.recipe).encode([json.dumps(row).encode() for row in asked], manifest.schema)
    session = optimise.open_session((folder / "model" / keys.MODEL_ONNX).read_bytes())
    codes = optimise.predict(session, inputs, manifest.schema).argmax(axis=1)
    right = [manifest.schema.labels[code] == row["risk"] for code, row in zip(codes, asked, strict=True)]
    return sum(right) / len(right)


@pytest.mark.more
def test_a_project_goes_on_with_new_rows_and_does_not_forget_the_old_ones(app: App, tmp_path: Path) -> None:
    project = app.project()
    app.configure(project, FRESH)
    first = app.settled(app.upload(project, "first.csv", rows(500, sides=(-1, 1), seed=1)))
    assert first["outcome"] == Outcome.DEPLOYED, first["reasons"]
    app.configure(project, GO_ON)
    second = app.settled(app.upload(project, "second.csv", rows(300, sides=(1,), seed=2)))
    assert second["outcome"] in ENDS, second["reasons"]
    job, log = trained(app, second)
    assert f"this model continues run {first['run']}" in log
    assert [c["ChannelName"] for c in job["InputDataConfig"]][-1] == "champion"
    assert second["evaluation"]["start"] == f"continues run {first['run']}"
    assert second["dataset"]["replayed"] == 300
    assert sum(second["dataset"]["rows"].values()) == 600
    assert second["epochs"][0]["train_loss"] < 0.5 * first["epochs"][0]["train_loss"]
    assert accuracy(app, project, second["run"], tmp_path, rows(300, sides=(-1,), seed=3)) > 0.9
    third = app.settled(app.upload(project, "third.csv", rows(300, sides=(-1, 1), seed=4, years="years")))
    assert third["outcome"] in ENDS, third["reasons"]
    assert third["evaluation"]["start"].endswith(": other columns: new 'years'; gone 'age'")
    assert third["dataset"]["replayed"] == 0
    assert "they have other columns (new 'years'; gone 'age')" in third["dataset"]["reasons"][0]
    report = app.read(keys.run_prefix("acme", project, third["run"]) + keys.REPORT).decode()
    assert "This model was trained afresh, not from the champion" in report
