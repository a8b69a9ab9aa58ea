"""A user's own SageMaker script, through the pipeline: it trains, its own metric decides, a version is registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract import keys
from contract.run import Outcome
from local.chaos.scenes import archive
from tests.e2e.app import App

TOML = """
[recipe]
name = "script"
metric = "val:acc"
regex = "val_acc=([0-9.]+);"
hyperparameters = { score = 0.5, layers = [16, 8], use-cuda = true, note = "it's \\"né\\"" }
channels = { train = "train", everything = "" }
%s
"""
SCRIPT = """
import argparse, json, os
import tinyhelper
parser = argparse.ArgumentParser()
parser.add_argument("--score", type=float)
parser.add_argument("--layers")
parser.add_argument("--use-cuda")
parser.add_argument("--note")
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
args = parser.parse_args()
names = sorted(os.listdir(args.train)), sorted(os.listdir(os.environ["SM_CHANNEL_EVERYTHING"]))
print(f"val_acc={args.score};")
told = {**vars(args), "files": names, "note": args.note}
open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w").write(json.dumps(told))
"""


def submit(app: App, project: str, toml: str, source: bytes | None = None) -> dict[str, Any]:
    """Configure a script's project and send it a batch of two files of different kinds."""
    app.configure(project, toml)
    if source is not None:
        app.s3.put_object(Bucket=app.data, Key=f"acme/{project}/source/source.tar.gz", Body=source)
    inbox = keys.inbox("acme", project)
    for name, body in {"train/part one.csv": b"1,2", "labels.txt": b"a"}.items():
        app.s3.put_object(Bucket=app.data, Key=f"{inbox}b/{name}", Body=body)
    manifest = json.dumps({"files": ["train/part one.csv", "labels.txt"]}).encode()
    return app.settled(app.upload(project, "b/manifest.json", manifest))


def test_a_script_becomes_a_version_that_only_a_better_one_follows(app: App) -> None:
    project = app.project()
    first = submit(app, project, TOML % "", archive({"train.py": SCRIPT, "tinyhelper.py": ""}))
    assert first["outcome"] == Outcome.REGISTERED, first["reasons"]
    assert first["reasons"] == ["val:acc 0.5000: no earlier version recorded 'val:acc', so there is none to beat"]
    assert (first["dataset"]["files"], first["dataset"]["bytes"]) == (2, 4)
    package = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=first["package"]["package_arn"])
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"].endswith("/output/model.tar.gz")
    report = app.read(keys.run_prefix("acme", project, first["run"]) + keys.REPORT).decode()
    assert "as the script itself measured it" in report

    second = submit(app, project, TOML % "")
    assert second["outcome"] == Outcome.KEPT_CHAMPION
    assert second["reasons"] == ["val:acc 0.5000 does not beat the champion's 0.5000"]


def test_a_script_that_fails_fails_its_run_with_its_own_words(app: App) -> None:
    source = archive({"train.py": "raise SystemExit('no GPU, no glory')"})
    run = submit(app, app.project(), TOML % "", source)
    assert run["outcome"] == Outcome.FAILED
    assert "ExecuteUserScriptError" in run["failure"]["cause"]
    assert "no GPU, no glory" in run["failure"]["log"]


def test_missing_sources_are_refused_before_anything_is_paid(app: App) -> None:
    run = submit(app, app.project(), TOML % "")
    assert run["outcome"] == Outcome.REFUSED
    assert "recipe.source: 'source/source.tar.gz' is not allowed; expected an object that exists" in run["reasons"][0]
    assert run["jobs"] == []


@pytest.mark.more
def test_the_example_trains_on_two_hosts(app: App) -> None:
    example, project = Path(__file__).parents[2] / "examples/script", app.project()
    source = archive({"train.py": (example / "source/train.py").read_text()})
    app.s3.put_object(Bucket=app.data, Key=f"acme/{project}/source/source.tar.gz", Body=source)
    app.configure(project, (example / "project.toml").read_text())
    run = app.settled(app.upload(project, "line.csv", (example / "line.csv").read_bytes()))
    assert run["outcome"] == Outcome.REGISTERED, run["reasons"]
    assert run["evaluation"]["metrics"]["rmse"] < 0.3
