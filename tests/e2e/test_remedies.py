"""What has a remedy gets it: other machines, a later try, a job instead of Lambda, a redrive."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from contract.run import Outcome
from local.chaos.faults import KilledRank, MissingCapacity, SpotInterruption
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml


def test_missing_spot_capacity_goes_on_demand(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=True))
    with LAB.inject(MissingCapacity(job=f"{project}-*-spot-*")):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    visited = app.visited(run)
    assert visited.index("Train on spot") < visited.index("Is capacity missing?") < visited.index("Train on demand")


@pytest.mark.more
def test_the_ladder_is_climbed_on_missing_capacity(app: App) -> None:
    project = app.project()
    ladder = 'instance = "ml.m5.xlarge"\nfallback_instances = ["ml.m5.2xlarge"]'
    app.configure(project, table_toml().replace('instance = "ml.m5.xlarge"', ladder))
    with LAB.inject(MissingCapacity(job=f"{project}-*", instance="ml.m5.xlarge")):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert [job["instance"] for job in run["jobs"] if job["kind"] == "training"] == ["ml.m5.2xlarge"]


def test_an_interrupted_spot_job_resumes_from_its_checkpoint(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=True, epochs=30))
    with LAB.inject(SpotInterruption(job=f"{project}-*-spot-*", when="epoch=5 ")):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert [epoch["epoch"] for epoch in run["epochs"]] == list(range(1, 31))


@pytest.mark.more
def test_spot_that_never_comes_back_goes_on_demand(app: App) -> None:
    project = app.project()
    waits = "spot = true\nspot_wait_minutes = 1"  # two minutes in all, and the laptop's clock runs faster
    app.configure(
        project, table_toml(epochs=30).replace("max_minutes = 10", "max_minutes = 1").replace("spot = false", waits)
    )
    with LAB.inject(SpotInterruption(job=f"{project}-*-spot-*", when="epoch=5 ", comes_back=False)):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert "Train on demand" in app.visited(run)
    assert [epoch["epoch"] for epoch in run["epochs"]][-1] == 30


@pytest.mark.more
def test_a_small_upload_that_outgrows_lambda_is_prepared_in_a_job(app: App) -> None:
    functions = app.cloud.client("lambda")
    name = next(
        function["FunctionName"]
        for function in functions.list_functions()["Functions"]
        if function["Handler"] == "training.prepare.handler"
    )
    seconds = functions.get_function_configuration(FunctionName=name)["Timeout"]
    functions.update_function_configuration(FunctionName=name, Timeout=1)
    try:
        project = app.project()
        app.configure(project, table_toml(epochs=1).replace("batch_size = 32", "batch_size = 1024"))
        run = app.settled(app.upload(project, "rows.csv", table(60_000)))
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=seconds)
    visited = app.visited(run)
    assert visited[visited.index("Prepare dataset") + 1] == "Prepare large dataset"
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]


@pytest.mark.parametrize("spot", [True, pytest.param(False, marks=pytest.mark.more)])
def test_a_failed_training_is_redriven_to_a_served_model(app: App, spot: bool) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=spot))
    with LAB.inject(KilledRank(job=f"{project}-*", process="training.train", when="epoch=2 ")):
        run = app.upload(project, "rows.csv", table())
        failed = app.settled(run)
    assert (failed["outcome"], failed["failure"]["error"]) == (Outcome.FAILED, "TrainingFailed" if spot else ANY)
    execution = app.row(run)["execution_arn"]
    app.states.redrive_execution(executionArn=execution)
    assert app.ended(execution)["status"] == "SUCCEEDED"
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.DEPLOYED, settled["reasons"]
    assert app.visited(settled).count("Prepare dataset") == 1
    assert app.champion(project)["run"] == run
