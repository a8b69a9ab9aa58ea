"""Training whose GPUs do nothing is stopped, and its run says why: of a recipe, of a script, on spot, of a search."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract import keys, names
from contract.run import Outcome
from local.chaos.scenes import archive
from local.cloud import Cloud
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.local import sagemaker as sm

MINUTES = 30
SCRIPT_TOML = """
[recipe]
name = "script"
metric = "val:acc"
regex = "val_acc=([0-9.]+);"
[train]
instance = "ml.g5.xlarge"
"""
SCRIPT = """
import os, time
while not os.path.exists(os.environ["SM_OUTPUT_DATA_DIR"] + "/enough"):
    time.sleep(0.2)
"""
"""Ends soon after it is to be stopped, of which it hears nothing: AWS's toolkit passes no SIGTERM on."""


def test_the_run_of_a_recipe_says_why_it_was_stopped_and_can_go_on(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=10_000).replace("ml.m5.xlarge", "ml.g5.xlarge"))
    run = app.upload(project, "rows.csv", table())
    job = app.training(run)
    assert looked(app, {job: 0.2}) == {job}
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.FAILED
    assert settled["failure"]["error"] == "TrainingStopped"
    (reason,) = settled["reasons"]
    assert f"The training job {job} was Stopped: Stopped: its GPUs did nothing for 30 minutes: 0.2 %" in reason
    assert f"`tandem resume {run}` goes on from the last checkpoint" in reason
    assert app.listing(keys.run_prefix("acme", project, run) + keys.CHECKPOINTS), "it goes on from there"


def test_jobs_on_spot_and_of_searches_are_stopped_alike_and_nobody_elses(app: App, cloud: Cloud) -> None:
    jobs = [job(app, name) for name in ("r1-spot-0-0-0", "r1-tune-0-1-0-001-ab3", "r1-train-0-0-1")]
    theirs = job(app, "r1-train-0-0-2", ours=False)
    assert looked(app, dict.fromkeys([*jobs, theirs], 0.0)) == set(jobs)
    cloud.client("sagemaker").stop_training_job(TrainingJobName=theirs)
    for name in (*jobs, theirs):
        sm.trained(cloud, name)


@pytest.mark.more
def test_a_script_that_waits_is_stopped_by_what_its_own_gpus_did(app: App, cloud: Cloud) -> None:
    project = app.project()
    app.configure(project, SCRIPT_TOML)
    source = archive({"train.py": SCRIPT})
    app.s3.put_object(Bucket=app.data, Key=f"acme/{project}/source/source.tar.gz", Body=source)
    run = app.upload(project, "labels.csv", b"a")
    name = f"{run}-spot-0-0-0"
    waiting = app.eventually(lambda: [value for value in told(app, name) if value < 1])  # once it has started
    assert looked(app, {name: waiting[-1]}) == {name}
    (output,) = (cloud.root / "jobs" / name).glob("attempt-*/algo-1/ml/output/data")
    (output / "enough").touch()
    assert "its GPUs did nothing for 30 minutes" in app.settled(run)["failure"]["cause"]


def job(app: App, name: str, *, ours: bool = True) -> str:
    """Start a training job that waits until it is stopped; return its name."""
    prefix = keys.run_prefix("acme", "digits", "r1")
    allowed = {names.MIN_GPU_PERCENT: "1", names.IDLE_GPU_MINUTES: str(MINUTES)} if ours else {}
    request = sm.training(app.artifacts, "trap exit TERM; sleep 60 & wait", TrainingJobName=name)
    request["ResourceConfig"]["InstanceType"] = "ml.g5.xlarge"
    request["OutputDataConfig"] = {"S3OutputPath": f"s3://{app.artifacts}/{prefix}train"}
    client = app.cloud.client("sagemaker")
    client.create_training_job(**{**request, "Environment": {**request["Environment"], **allowed}})
    app.eventually(lambda: client.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Training")
    return name


def metric(name: str) -> dict[str, Any]:
    """Return what CloudWatch calls the use of a job's first host's GPUs."""
    return {"MetricName": "GPUUtilization", "Dimensions": [{"Name": "Host", "Value": f"{name}/algo-1"}]}


def told(app: App, name: str) -> list[float]:
    """Return what CloudWatch knows of it, the oldest first."""
    now = datetime.now(UTC)
    query = {"Metric": {"Namespace": names.TRAINING_METRICS, **metric(name)}, "Period": 1, "Stat": "Maximum"}
    (found,) = app.cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "gpus", "MetricStat": query}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now,
        ScanBy="TimestampAscending",
    )["MetricDataResults"]
    return list(found["Values"])


def looked(app: App, percent: dict[str, float]) -> set[str]:
    """Have the deployed function look after half an hour in which jobs' GPUs did ``percent``; return what it stops.

    The minutes are those to come, so that none of them is one in which a job did something.
    """
    later = datetime.now(UTC) + timedelta(minutes=MINUTES + 1)
    data = [
        {**metric(name), "Value": value, "Unit": "Percent", "Timestamp": later - timedelta(minutes=ago)}
        for name, value in percent.items()
        for ago in range(1, MINUTES)
    ]
    app.cloud.client("cloudwatch").put_metric_data(Namespace=names.TRAINING_METRICS, MetricData=data)
    answer = app.cloud.client("lambda").invoke(
        FunctionName=app.function("functions.idle_gpus.handler"),
        Payload=json.dumps({"time": f"{later:%Y-%m-%dT%H:%M:%SZ}"}),
    )
    document = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return set(document["stopped"])
