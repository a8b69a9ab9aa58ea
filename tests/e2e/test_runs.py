"""An upload becomes a served model, and a better one takes its place."""

from __future__ import annotations

import json
from pathlib import Path

from contract import keys, names
from contract.forms import FLOAT32, INT8, PRUNED
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import images, table, table_toml

ROOT = Path(__file__).parents[2]


def test_a_real_table_becomes_a_served_model(app: App) -> None:
    example, project = ROOT / "examples/penguins", app.project()
    app.configure(project, (example / "project.toml").read_text() + "\n[optimise]\nprune = 0.5\nprune_epochs = 2\n")
    run = app.settled(app.upload(project, "penguins.csv", (example / "penguins.csv").read_bytes()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    metric, evaluation = run["evaluation"]["metric"], run["evaluation"]
    assert evaluation["metrics"][metric] > evaluation["baseline"][metric]
    answer = app.predict(project, (example / "held_out.csv").read_bytes(), "text/csv")
    assert answer["predictions"]
    tried = {form["name"]: form["note"] for form in evaluation["forms"]}
    assert list(tried) == [FLOAT32, INT8, f"{FLOAT32}-{PRUNED}", f"{INT8}-{PRUNED}"]
    assert tried[evaluation["chosen"]].startswith("served")
    assert answer["model"]["form"] == evaluation["chosen"]


def test_only_a_better_model_takes_the_champions_place(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=1, learning_rate=0.001))
    first = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert first["outcome"] in (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION)
    app.configure(project, table_toml())
    better = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert better["outcome"] == Outcome.DEPLOYED, better["reasons"]
    champion = app.champion(project)
    assert champion["run"] == better["run"]
    app.configure(project, table_toml(epochs=1, learning_rate=0.001))
    worse = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert worse["outcome"] == Outcome.KEPT_CHAMPION
    assert worse["evaluation"]["champion"]["version"] == int(champion["version"])
    assert "Deploy" not in app.visited(worse)
    assert app.champion(project) == champion


def test_the_console_starts_the_same_run(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    key = f"acme/{project}/tables/rows with space.csv"
    app.s3.put_object(Bucket=app.data, Key=key, Body=table())
    request = {"tenant": "acme", "project": project, "upload": f"s3://{app.data}/{key}"}
    started = app.states.start_execution(stateMachineArn=app.pipeline, input=json.dumps(request))
    name = started["executionArn"].rsplit(":", 1)[1]
    run = app.settled(names.run_for_execution(name))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]


def test_a_large_upload_is_prepared_in_a_job_to_the_same_rows(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml().replace('target = "risk"', 'target = "risk"\nlambda_limit_mb = 0'))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert "Prepare large dataset" in app.visited(run)
    app.configure(project, table_toml())
    again = app.settled(app.upload(project, "rows.csv", table()))
    assert "Prepare large dataset" not in app.visited(again)
    in_job, in_lambda = (app.document("acme", project, each["run"], keys.DATASET_REPORT) for each in (run, again))
    assert in_job["fingerprint"] == in_lambda["fingerprint"]
    assert in_job["rows"] == in_lambda["rows"]


def test_many_files_arrive_as_one_batch(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    app.upload(project, "batch/a.csv", table(seed=1))
    app.upload(project, "batch/b.csv", table(seed=2))
    run = app.settled(app.upload(project, "batch/manifest.json", b'{"files": ["a.csv", "b.csv"]}'))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert sum(run["dataset"]["rows"].values()) == 480


def test_several_runs_at_once(app: App) -> None:
    projects = [app.project() for _ in range(2)]
    for project in projects:
        app.configure(project, table_toml(epochs=3))
    runs = [app.upload(project, "rows.csv", table()) for project in projects]
    assert {app.settled(run, seconds=240)["outcome"] for run in runs} == {Outcome.DEPLOYED}


def test_a_run_leaves_everything_a_person_asks_for(app: App) -> None:
    project = app.project()
    app.configure(
        project, 'recipe = "image"\n[train]\nepochs = 4\nhosts = 1\nspot = false\ninstance = "ml.m5.xlarge"\n'
    )
    run = app.settled(app.upload(project, "pictures.zip", images()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    prefix = keys.run_prefix("acme", project, run["run"])
    written = {key.removeprefix(prefix) for key in app.listing(prefix)}
    assert {keys.REQUEST, keys.DATASET_REPORT, keys.EVALUATION_REPORT, keys.MODEL, keys.GOLDEN, keys.REPORT} <= written
    assert run["usd"] is not None
    assert len(run["epochs"]) == 4
    page = app.read(prefix + keys.REPORT).decode()
    assert run["run"] in page
