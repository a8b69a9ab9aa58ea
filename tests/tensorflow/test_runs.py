"""Uploads become served models that TensorFlow trained, in the laptop cloud."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.places import TOLERANCE, predictions
from benchmarks.places.exported import export
from benchmarks.places.version import Version
from cli.aws import Account
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table, table_toml

ROOT = Path(__file__).parents[2]
SECONDS = 600  # a run: TensorFlow's start on each host is most of it
pytestmark = pytest.mark.timeout(2 * SECONDS)


def test_digits_are_learned_on_two_hosts_and_served(app: App, account: Account, tmp_path: Path) -> None:
    project, toml = app.project(), (ROOT / "examples/keras/project.toml").read_text()
    assert tomllib.loads(toml)["train"]["hosts"] == 2
    app.configure(project, toml)
    digits = ROOT / "examples/digits"
    run = app.settled(app.upload(project, "digits.zip", (digits / "digits.zip").read_bytes()), SECONDS)
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert run["evaluation"]["metrics"]["accuracy"] >= 0.97
    assert run["evaluation"]["forms"][0]["parity"] <= 1e-5
    scan = next((digits / "held_out").glob("3*.png"))
    assert app.predict(project, scan.read_bytes(), "image/png")["predictions"][0]["label"] == "3"
    jobs = app.cloud.client("sagemaker").list_training_jobs(NameContains=run["run"])["TrainingJobSummaries"]
    job = app.cloud.client("sagemaker").describe_training_job(TrainingJobName=jobs[0]["TrainingJobName"])
    assert "/tensorflow-training:2.21.0-cpu" in job["AlgorithmSpecification"]["TrainingImage"]
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert {metric["MetricName"] for metric in job["FinalMetricDataList"]} >= {"validation_accuracy", "train_loss"}
    package_arn = app.champion(project)["package_arn"]
    version = Version(account=account, tenant="acme", project=project, package_arn=package_arn, folder=tmp_path)
    scans = np.stack([np.asarray(Image.open(path)) for path in sorted((digits / "held_out").glob("*.png"))])
    assert np.abs(by_tensorflow(version, scans) - by_endpoint(app, version, scans)).max() < TOLERANCE


def by_tensorflow(version: Version, scans: np.ndarray) -> np.ndarray:
    """Return what an exported version answers as TensorFlow Serving asks it: by its signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(export(version, "tensorflow") / version.project / str(version.number)))
    signature = loaded.signatures["serving_default"]
    answers: np.ndarray = signature(image=tf.constant(scans[..., np.newaxis]))["probabilities"].numpy()
    return answers


def by_endpoint(app: App, version: Version, scans: np.ndarray) -> np.ndarray:
    """Return what the version in service answers."""
    body = io.BytesIO()
    np.save(body, scans)
    answer = version.account.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=app.champion(version.project)["endpoint"],
        ContentType="application/x-npy",
        Body=body.getvalue(),
    )
    return predictions(answer["Body"].read(), version.files()[0].schema.labels)


def test_a_table_is_learned_on_one_host_and_replaces_what_torch_learned(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=1, learning_rate=0.001))
    app.settled(app.upload(project, "rows.csv", table(seed=1)), SECONDS)
    app.configure(project, table_toml().replace('"tabular"', '"keras_tabular"'))
    run = app.settled(app.upload(project, "rows.csv", table(seed=1)), SECONDS)
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert app.champion(project)["run"] == run["run"]
    answer = app.predict(project, b'{"instances": [{"income": 3.0, "age": 80, "region": null}]}')
    assert answer["predictions"][0]["label"] == "high"


SEARCHED = """
[tune]
jobs = 2
parallel = 1
strategy = "grid"
[tune.ranges]
options.hidden = { choices = [16, 32] }
"""


def test_a_search_finds_the_settings_of_a_keras_recipe_and_serves_the_best(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(learning_rate=0.01).replace('"tabular"', '"keras_tabular"') + SEARCHED)
    run = app.settled(app.upload(project, "rows.csv", table()), SECONDS)
    assert run["outcome"] == Outcome.DEPLOYED, run["failure"] or run["reasons"]
    trials = run["tuning"]["trials"]
    assert {trial["values"]["options.hidden"] for trial in trials} == {"16", "32"}
    assert {trial["status"] for trial in trials} == {"Completed"}
    best = app.cloud.client("sagemaker").describe_training_job(TrainingJobName=run["tuning"]["best"])
    assert "/tensorflow-training:" in best["AlgorithmSpecification"]["TrainingImage"]
    assert trials[0]["score"] == max(epoch["validation_accuracy"] for epoch in run["epochs"])
    answer = app.predict(project, b'{"instances": [{"income": 3.0, "age": 80, "region": null}]}')
    assert answer["predictions"][0]["label"] == "high"


def test_settings_that_keras_cannot_follow_are_refused_before_anything_runs(app: App) -> None:
    project = app.project()
    toml = table_toml().replace("tabular", "keras_tabular").replace("[train]", "[train]\ncompile = true")
    app.configure(project, toml)
    run = app.settled(app.upload(project, "rows.csv", table()), SECONDS)
    assert run["outcome"] in (Outcome.REFUSED, Outcome.REJECTED), run
    assert "train.compile" in " ".join(run["reasons"])
