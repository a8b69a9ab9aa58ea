"""A run whose upload is prepared on Spark, through the whole pipeline."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("pyspark")

from contract import keys
from contract.run import Outcome
from tests.e2e.app import App
from tests.training.builders import csv

SECONDS = 300  # Spark's start is much of it
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
    pytest.mark.timeout(2 * SECONDS),
]
TOML = """
recipe = "tabular"
[prepare]
target = "risk"
engine = "spark"
hosts = 2
isolation = "off"
[train]
epochs = 2
input_mode = "fastfile"
shuffle_mb = 1
"""


def test_an_upload_is_prepared_on_spark_and_trained_from_streams(app: App) -> None:
    project = app.project()
    app.configure(project, TOML)
    run = app.upload(project, "rows.csv", csv(400).encode())
    ended = app.settled(run, seconds=SECONDS)
    assert ended["outcome"] == Outcome.DEPLOYED, ended["reasons"]
    report = app.document("acme", project, run, keys.DATASET_REPORT)
    assert report["accepted"]
    assert sum(report["rows"].values()) == 400
    jobs = app.cloud.client("sagemaker")
    job = next(
        jobs.describe_processing_job(ProcessingJobName=each["ProcessingJobName"])
        for each in jobs.list_processing_jobs(NameContains=f"{run}-prepare")["ProcessingJobSummaries"]
    )
    assert "sagemaker-spark-processing" in job["AppSpecification"]["ImageUri"]
    assert job["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 2
    assert not job["NetworkConfig"]["EnableNetworkIsolation"]
    training = jobs.list_training_jobs(NameContains=run)["TrainingJobSummaries"][0]["TrainingJobName"]
    channels = jobs.describe_training_job(TrainingJobName=training)["InputDataConfig"]
    modes = {channel["ChannelName"]: channel["InputMode"] for channel in channels}
    assert (modes["train"], modes["validation"], modes["schema"]) == ("FastFile", "FastFile", "File")
