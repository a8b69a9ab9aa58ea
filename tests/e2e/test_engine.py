"""Unequal machines and other strategies through the whole pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table, table_toml

INSTANCE = 'instance = "ml.m5.xlarge"'


def trained(app: App, run: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the description of a run's training job, and its log."""
    (job,) = [job for job in run["jobs"] if job["kind"] == "training"]
    logs, group = app.cloud.client("logs"), "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job["name"])["logStreams"]
    lines = [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)[
            "events"
        ]
    ]
    return app.cloud.client("sagemaker").describe_training_job(TrainingJobName=job["name"]), "\n".join(lines)


@pytest.mark.more
def test_a_cluster_of_two_types_computes_by_lambda(app: App) -> None:
    project = app.project()
    shares = 'groups = {"ml.m5.xlarge" = 1, "ml.m5.2xlarge" = 1}\nshares = [1, 3]'
    app.configure(project, table_toml().replace(INSTANCE, shares))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    job, log = trained(app, run)
    assert job["ResourceConfig"]["InstanceGroups"] == [
        {"InstanceGroupName": name, "InstanceType": name, "InstanceCount": 1}
        for name in ("ml.m5.xlarge", "ml.m5.2xlarge")
    ]
    assert "InstanceType" not in job["ResourceConfig"]
    assert "lambda=0.2500,0.7500" in log
    assert [(job["instance"], job["hosts"]) for job in run["jobs"] if job["kind"] == "training"] == [
        ("ml.m5.xlarge+ml.m5.2xlarge", 2)
    ]


@pytest.mark.more
def test_fsdp_with_accumulation_and_clipping_trains_a_model_like_any_other(app: App) -> None:
    project = app.project()
    way = f'{INSTANCE}\nstrategy = "fsdp"\naccumulation = 2\nclip_norm = 1.0\npatience = 30'
    app.configure(project, table_toml().replace(INSTANCE, way).replace("hosts = 1", "hosts = 2"))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    job, _ = trained(app, run)
    assert job["HyperParameters"]["strategy"] == "fsdp"
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert app.champion(project)["run"] == run["run"]


def test_what_cannot_be_combined_is_refused_before_a_dataset_is_read(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml().replace(INSTANCE, f'{INSTANCE}\nstrategy = "fsdp"\ncommunication = "powersgd"'))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] != Outcome.DEPLOYED
    assert "train.communication: 'powersgd' is not allowed; expected 'none' with strategy 'fsdp'" in str(run)
    assert not run["jobs"]
