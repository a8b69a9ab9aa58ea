"""Searches, from the upload to the model in service: the tuning jobs train for real, two at a time."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from contract import keys
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table
from tests.e2e.test_state_by_state import Machine

SECONDS = 300  # several jobs, each of which starts the toolkit and torch
TOML = """
recipe = "{recipe}"
[prepare]
target = "risk"
[train]
epochs = 3
spot = false
instance = "ml.m5.xlarge"
max_minutes = 10
[tune]
jobs = 3
parallel = 2
strategy = "random"
{more}
"""
RANGES = """[tune.ranges]
learning_rate = { min = 1e-3, max = 1e-1, scale = "log" }
batch_size = { choices = [16, 32] }
options.hidden = { min = 8, max = 32 }
"""


def toml(more: str = RANGES, *, recipe: str = "tabular") -> str:
    return TOML.format(recipe=recipe, more=more)


@pytest.fixture(scope="module")
def tuned(app: App) -> tuple[str, dict[str, Any]]:
    """A project, and its first run, which searched."""
    project = app.project()
    app.configure(project, toml())
    return project, app.settled(app.upload(project, "rows.csv", table()), SECONDS)


def test_the_best_of_several_jobs_is_served(app: App, tuned: tuple[str, dict[str, Any]]) -> None:
    project, run = tuned
    assert run["outcome"] == Outcome.DEPLOYED, json.dumps(run["failure"] or run["reasons"])
    assert "Train on demand" not in app.visited(run)
    board = run["tuning"]
    scores = [trial["score"] for trial in board["trials"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    best = board["trials"][0]
    assert board["best"] == best["job"]
    assert set(best["values"]) == {"learning_rate", "batch_size", "options.hidden"}
    assert all(0.001 <= float(trial["values"]["learning_rate"]) <= 0.1 for trial in board["trials"])
    # What is served is that job's model, with what was searched as its settings.
    package = run["package"]["package_arn"]
    properties = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=package)
    assert properties["CustomerMetadataProperties"]["training_job"] == best["job"]
    answer = app.predict(project, b'{"instances": [{"income": 3, "age": 80, "region": "south"}]}')
    assert answer["predictions"][0]["label"] == "high"


def test_a_search_that_ended_before_it_could_be_stopped_is_looked_at(
    app: App, tuned: tuple[str, dict[str, Any]]
) -> None:
    ended = {"tuning": {"job": tuned[1]["tuning"]["job"]}}
    assert Machine(app, app.pipeline).after("Stop search", ended) == "Wait for search"


def test_the_score_is_that_of_the_epoch_whose_weights_are_kept(app: App, tuned: tuple[str, dict[str, Any]]) -> None:
    _, run = tuned
    best = run["tuning"]["trials"][0]
    assert best["score"] == pytest.approx(max(epoch["validation_accuracy"] for epoch in run["epochs"]), abs=1e-5)


def test_a_search_costs_what_its_jobs_were_billed(app: App, tuned: tuple[str, dict[str, Any]]) -> None:
    _, run = tuned
    (bill,) = [job for job in run["jobs"] if job["kind"] == "tuning"]
    assert bill["usd"] == pytest.approx(sum(trial["usd"] for trial in run["tuning"]["trials"]), abs=1e-5)
    assert run["usd"] == pytest.approx(sum(job["usd"] for job in run["jobs"]), abs=1e-5)
    report = app.read(keys.run_prefix("acme", run["project"], run["run"]) + keys.REPORT).decode()
    for trial in run["tuning"]["trials"]:
        assert trial["job"] in report


@pytest.mark.more
def test_a_second_search_begins_with_what_the_first_learned(app: App, tuned: tuple[str, dict[str, Any]]) -> None:
    project, first = tuned
    app.configure(project, toml("warm_start = true\n" + RANGES))
    run = app.settled(app.upload(project, "more.csv", table(300, seed=1)), SECONDS)
    assert run["outcome"] in (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION), run["reasons"]
    assert "Tune from earlier search" in app.visited(run)
    made = app.cloud.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=run["tuning"]["job"]
    )
    parents = made["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    assert parents == [{"HyperParameterTuningJobName": first["tuning"]["job"]}]
    assert first["run"] in run["tuning"]["note"]


@pytest.mark.more
def test_auto_tries_every_recipe_that_fits_and_serves_the_best(app: App) -> None:
    project = app.project()
    app.configure(project, toml("", recipe="auto"))
    run = app.settled(app.upload(project, "rows.csv", table()), SECONDS)
    assert run["outcome"] == Outcome.DEPLOYED, json.dumps(run["failure"] or run["reasons"])
    tried = {trial["recipe"] for trial in run["tuning"]["trials"]}
    assert tried <= {candidate["recipe"] for candidate in run["request"]["candidates"]}
    best = run["tuning"]["trials"][0]
    assert app.row(run["run"])["recipe"] == best["recipe"]
    report = app.read(keys.run_prefix("acme", project, run["run"]) + keys.REPORT).decode()
    assert "Leaderboard" in report


@pytest.mark.more
def test_a_search_of_which_every_job_fails_tells_the_jobs_own_reason(app: App) -> None:
    project = app.project()
    app.configure(project, toml().replace("epochs = 3", "epochs = 3\nmax_loss = 1e-6"))
    run = app.settled(app.upload(project, "rows.csv", table()), SECONDS)
    assert run["outcome"] == Outcome.FAILED
    assert run["failure"]["state"] == "Fail search"
    assert "max_loss" in run["failure"]["cause"]
    assert "max_loss" in run["reasons"][0]
    assert run["tuning"]["best"] is None
    assert {trial["status"] for trial in run["tuning"]["trials"]} == {"Failed"}


def test_a_search_of_a_run_that_is_stopped_is_stopped(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.sagemaker.jobs.STOP_SECONDS", 1.0)  # AWS's toolkit hands no SIGTERM to its program
    project, sagemaker = app.project(), app.cloud.client("sagemaker")
    app.configure(project, toml().replace("epochs = 3", "epochs = 10000"))
    run = app.upload(project, "rows.csv", table())
    app.training(run)
    app.states.stop_execution(executionArn=app.row(run)["execution_arn"])
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.STOPPED
    assert settled["failure"]["state"] in ("Wait for search", "Describe search", "Is search over?")
    (search,) = sagemaker.list_hyper_parameter_tuning_jobs(NameContains=run)["HyperParameterTuningJobSummaries"]
    search = wait_for_end(sagemaker, search["HyperParameterTuningJobName"])
    assert search["HyperParameterTuningJobStatus"] == "Stopped"
    jobs = sagemaker.list_training_jobs(NameContains=run)["TrainingJobSummaries"]
    assert {job["TrainingJobStatus"] for job in jobs} <= {"Stopped", "Completed"}
    assert not processes(search["HyperParameterTuningJobName"])


def wait_for_end(sagemaker: Any, search: str, seconds: float = 60) -> dict[str, Any]:
    """Wait until a tuning job has ended; return its description."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        described: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=search)
        if described["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            return described
        time.sleep(0.2)
    raise TimeoutError(f"{search} does not end")


def processes(search: str) -> list[str]:
    """Return the ids of the processes that run for a search: they are told the training job's name."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if search.encode() in environment.read_bytes():
                found.append(environment.parent.name)
    return found


def test_a_search_that_could_cost_too_much_is_refused_and_says_how_many_jobs_are_within_the_budget(app: App) -> None:
    project = app.project()
    app.configure(project, toml(RANGES + "[budget]\nmax_usd_per_run = 0.5\n").replace("jobs = 3", "jobs = 100"))
    run = app.settled(app.upload(project, "rows.csv", table()), SECONDS)
    assert run["outcome"] == Outcome.REFUSED
    assert "tune.jobs = " in run["reasons"][0]
    assert run["tuning"] is None
