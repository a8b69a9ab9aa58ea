"""An upload becomes a served model, and a better one takes its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as tandem
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
    _lose_and_restore(app, project)
    champion = app.champion(project)
    app.configure(project, table_toml(epochs=1, learning_rate=0.001))
    worse = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert worse["outcome"] == Outcome.KEPT_CHAMPION
    assert worse["evaluation"]["champion"]["version"] == int(champion["version"])
    assert "Deploy" not in app.visited(worse)
    assert app.champion(project) == champion


def _lose_and_restore(app: App, project: str) -> None:
    """Lose all that the ledger and the registry know of a project, and bring it back."""
    before, versions = _rows(app, project), _versions(app, project)
    assert len(before) >= 5, "champion, throughput, two runs, their charges"
    backup = app.dynamodb.create_backup(TableName=app.table, BackupName="before")["BackupDetails"]["BackupArn"]
    for key in before:
        app.dynamodb.delete_item(
            TableName=app.table, Key=dict(zip(("pk", "sk"), ({"S": part} for part in key), strict=True))
        )
    _forget(app, project)
    app.cloud.client("sagemaker").delete_model_package_group(ModelPackageGroupName=f"acme--{project}")
    assert (_rows(app, project), _versions(app, project), app.champion(project)) == ({}, [], {})

    app.dynamodb.restore_table_from_backup(TargetTableName=f"restored-{project}", BackupArn=backup)
    assert _restore(app, project, "--table", f"restored-{project}")["rows"] == len(before)
    assert _rows(app, project) == before
    assert _versions(app, project) == versions
    assert _restore(app, project)["versions"] == [], "nothing is missing"

    # The versions alone, whose numbers SageMaker does not give again: the rows follow.
    last = max(version["ModelPackageVersion"] for version in versions)
    _forget(app, project)
    renumbered = _restore(app, project)["renumbered"]
    assert len(renumbered) == len(versions)
    champion = app.champion(project)
    assert champion["package_arn"] == renumbered[before[f"project#acme/{project}", "champion"]["package_arn"]["S"]]
    assert int(champion["version"]) == int(champion["package_arn"].rpartition("/")[2]) > last
    assert {row["package_arn"] for row in map(app.row, _runs(app, project))} == set(renumbered.values())


def _restore(app: App, project: str, *more: str) -> dict[str, Any]:
    told = CliRunner().invoke(tandem, ["restore", f"acme/{project}", "--json", *more], env=app.cloud.environment)
    assert told.exit_code == 0, told.output
    document: dict[str, Any] = json.loads(told.stdout)
    return document


def _forget(app: App, project: str) -> None:
    for version in _versions(app, project):
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--{project}/{version['ModelPackageVersion']}"
        app.cloud.client("sagemaker").delete_model_package(ModelPackageName=arn)


def _rows(app: App, project: str) -> dict[tuple[str, str], dict[str, Any]]:
    pages = app.dynamodb.get_paginator("scan").paginate(TableName=app.table)
    items = [item for page in pages for item in page["Items"]]
    own = {"S": f"acme/{project}"}
    found = [item for item in items if item.get("project") == own or item["pk"] == {"S": f"project#acme/{project}"}]
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in found if item["sk"]["S"] != "lease"}


def _runs(app: App, project: str) -> list[str]:
    return [pk.removeprefix("run#") for pk, sk in _rows(app, project) if sk == "run"]


def _versions(app: App, project: str) -> list[dict[str, Any]]:
    """What the registry keeps of a project's versions, but for when."""
    sagemaker, group = app.cloud.client("sagemaker"), f"acme--{project}"
    groups = sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"] if groups else []
    found = [sagemaker.describe_model_package(ModelPackageName=each["ModelPackageArn"]) for each in listed]
    told = {"CreationTime", "LastModifiedTime", "ResponseMetadata"}
    return [{name: value for name, value in package.items() if name not in told} for package in found]


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


@pytest.mark.more
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


@pytest.mark.more
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
