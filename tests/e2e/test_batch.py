"""Files that the champion answers: they arrive in S3, and their answers lie there."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as cli
from contract import batch, keys, ledger, names
from tests.e2e.app import App, subscriber
from tests.e2e.data import table, table_toml

ROWS = b"income,age,region\n100,20,north\n50000,60,south\n,40,\n"


@pytest.fixture(scope="module")
def project(app: App) -> str:
    """A project with a model in service."""
    project = app.project()
    app.configure(project, table_toml(epochs=1))
    app.settled(app.upload(project, "rows.csv", table(seed=1)))
    return project


def send(app: App, project: str, file: str, body: bytes) -> tuple[str, str, str]:
    """Put a file into the batch folder; return its key, version and batch."""
    key = keys.batch_file("acme", project, file)
    version = app.s3.put_object(Bucket=app.data, Key=key, Body=body)["VersionId"]
    return key, version, batch.batch_id(app.data, key, version)


def row(app: App, project: str, number: str) -> dict[str, Any]:
    return app.item(ledger.batch_key("acme", project, number))


def settled(app: App, project: str, number: str) -> dict[str, Any]:
    try:
        app.eventually(lambda: row(app, project, number).get("status", batch.RUNNING) != batch.RUNNING, 30)
    except TimeoutError:
        arn = app.executions(app.outputs[names.OUTPUT_BATCH_ARN])[0]["executionArn"]
        print(app.states.describe_execution(executionArn=arn))
        raise
    return row(app, project, number)


def start(app: App, key: str, version: str, size: int, **more: Any) -> dict[str, Any]:
    """Give the machine an event by hand; return the ended execution."""
    detail = {"bucket": {"name": app.data}, "object": {"key": key, "version-id": version, "size": size}}
    machine = app.outputs[names.OUTPUT_BATCH_ARN]
    started = app.states.start_execution(stateMachineArn=machine, input=json.dumps({"detail": detail, **more}))
    return app.ended(started["executionArn"])


def test_a_file_is_answered_by_the_champion_once_however_often_its_event_comes(app: App, project: str) -> None:
    key, version, number = send(app, project, "some rows+.csv", ROWS)
    told = settled(app, project, number)
    assert told["status"] == batch.ANSWERED, told
    _, answers = keys.parse_uri(told["answers"])
    rows = list(csv.DictReader(io.StringIO(app.read(answers).decode())))
    direct = app.predict(project, ROWS, "text/csv")["predictions"]
    assert [each["label"] for each in rows] == [each["label"] for each in direct]
    assert told["version"] == app.champion(project)["version"]
    again = start(app, key, version, len(ROWS))
    assert again["status"] == "SUCCEEDED"
    assert row(app, project, number) == told
    sagemaker = app.cloud.client("sagemaker")
    jobs = sagemaker.list_transform_jobs(NameContains=f"acme--{project}")["TransformJobSummaries"]
    assert [job["TransformJobStatus"] for job in jobs] == ["Completed"]
    assert sagemaker.list_models(NameContains=f"acme--{project}--batch")["Models"] == []


def test_a_file_that_the_model_refuses_fails_with_the_reason_and_leaves_no_model(app: App, project: str) -> None:
    _, _, number = send(app, project, "bad.json", b'{"instances": [{"income": "much"}]}')
    told = settled(app, project, number)
    assert told["status"] == batch.FAILED
    assert told["reason"].startswith("ClientError: See job logs for more information (log group /aws/sagemaker/")
    assert app.cloud.client("sagemaker").list_models(NameContains=f"acme--{project}--batch")["Models"] == []
    execution = app.ended(told["execution_arn"])
    assert (execution["status"], execution["cause"]) == ("FAILED", told["reason"])


@pytest.mark.parametrize(
    ("of", "file", "size", "error", "said"),
    [
        ("champion", "large.csv", 100 * 2**20 + 1, "FileTooLarge", "a file may have 104857600 at most"),
        ("champion", "rows.parquet", 1, "UnknownFile", "expected a name that ends in .csv, .json, .npy"),
        ("nothing", "rows.csv", 1, "NoChampion", "No version of acme/nothing is in service"),
        ("champion", "deep/rows.csv", 1, "", ""),
    ],
    ids=["large", "unknown", "no champion", "no file"],
)
def test_what_cannot_be_answered_is_refused_before_it_costs(
    app: App, project: str, of: str, file: str, size: int, error: str, said: str
) -> None:
    key = keys.batch_file("acme", project if of == "champion" else of, file)
    execution = start(app, key, "v1", size)
    assert execution.get("error", "") == error
    assert said in execution.get("cause", "")


def test_a_batch_that_failed_can_be_started_again_on_another_machine(app: App, project: str) -> None:
    key, version, number = send(app, project, "again.json", b"{}")
    first = settled(app, project, number)
    again = start(app, key, version, 2, instance="ml.c5.xlarge")
    assert row(app, project, number)["execution_arn"] == again["executionArn"] != first["execution_arn"]
    sagemaker = app.cloud.client("sagemaker")
    (job, *_) = sagemaker.list_transform_jobs(NameContains=f"acme--{project}")["TransformJobSummaries"]
    described = sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])
    assert described["TransformResources"]["InstanceType"] == "ml.c5.xlarge"
    assert job["TransformJobName"] in again["cause"]


def test_a_batch_that_somebody_stops_says_so_and_leaves_nothing(app: App, project: str) -> None:
    message = subscriber(app, f"{project}-batch", f"acme/{project}, file stopped.csv")
    _, _, number = send(app, project, "stopped.csv", ROWS)
    app.eventually(lambda: row(app, project, number))
    first = row(app, project, number)["execution_arn"]
    app.reaches(first, "Transform")
    app.states.stop_execution(executionArn=first)
    told = settled(app, project, number)
    assert (told["status"], told["reason"]) == (batch.STOPPED, "The batch was stopped.")
    assert app.ended(told["execution_arn"])["error"] == "Stopped"
    said = message()
    assert "ended as STOPPED." in said
    assert "Reason: The batch was stopped." in said
    sagemaker = app.cloud.client("sagemaker")
    assert sagemaker.list_models(NameContains=f"acme--{project}--batch")["Models"] == []
    (job, *_) = sagemaker.list_transform_jobs(NameContains=f"acme--{project}", SortBy="CreationTime")[
        "TransformJobSummaries"
    ]
    assert job["TransformJobStatus"] in ("Stopping", "Stopped")


def test_a_file_that_is_gone_is_no_answer(app: App, project: str) -> None:
    execution = start(app, keys.batch_file("acme", project, "gone.csv"), "none", 1)
    assert execution["error"].startswith("S3.")


def test_the_command_line_uploads_a_file_and_fetches_its_answers(
    app: App, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in app.cloud.environment.items():
        monkeypatch.setenv(name, value)
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    rows.write_bytes(ROWS)
    told = CliRunner().invoke(cli, ["--json", "batch", f"acme/{project}", str(rows), "-o", str(answers)])
    assert told.exit_code == 0, told.output
    assert answers.read_text().count("\n") == 4
    (tmp_path / "rows.json").write_text("{}")
    refused = CliRunner().invoke(cli, ["batch", f"acme/{project}", str(tmp_path / "rows.json")])
    assert (refused.exit_code, "See job logs" in refused.output) == (1, True)
