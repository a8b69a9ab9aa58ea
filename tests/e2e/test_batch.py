"""Files that the champion answers: they arrive in S3, and their answers lie there; champions without an endpoint."""

from __future__ import annotations

import csv
import io
import json
import os
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as cli
from contract import batch, bundle, keys, ledger, names
from contract.golden import Golden
from tests.cli.edge import device
from tests.e2e.app import App, subscriber
from tests.e2e.data import table, table_toml
from tests.e2e.versions import another, archive_of

ROWS = b"income,age,region\n100,20,north\n50000,60,south\n,40,\n"


BATCH = """
[deploy]
target = "batch"
golden_samples = 3
"""


@pytest.fixture(scope="module")
def project(app: App) -> str:
    """A project whose first run ended with a champion that answers files."""
    project = app.project()
    app.configure(project, table_toml(epochs=1, more=BATCH))
    run = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert run["outcome"] == "DEPLOYED", run
    return project


def left(app: App, project: str) -> list[str]:
    """Return the names of the project's endpoints, endpoint configurations, models and alarms."""
    sagemaker, name = app.cloud.client("sagemaker"), f"acme--{project}--"
    found = [
        item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    ]
    found += [item["ModelName"] for item in sagemaker.list_models(NameContains=name)["Models"]]
    alarms = app.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
    return [*app.endpoints(project), *found, *[alarm["AlarmName"] for alarm in alarms]]


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


def labels(app: App, told: dict[str, Any]) -> list[str]:
    """Return what a batch answered."""
    _, answers = keys.parse_uri(told["answers"])
    return [each["label"] for each in csv.DictReader(io.StringIO(app.read(answers).decode()))]


def start(app: App, key: str, version: str, size: int, **more: Any) -> dict[str, Any]:
    """Give the machine an event by hand; return the ended execution."""
    detail = {"bucket": {"name": app.data}, "object": {"key": key, "version-id": version, "size": size}}
    machine = app.outputs[names.OUTPUT_BATCH_ARN]
    started = app.states.start_execution(stateMachineArn=machine, input=json.dumps({"detail": detail, **more}))
    return app.ended(started["executionArn"])


def command(app: App, *words: str) -> Any:
    return CliRunner().invoke(cli, list(words), env=app.cloud.environment)


def test_a_champion_for_files_answered_its_golden_samples_by_a_transform_job_and_has_no_endpoint(
    app: App, project: str, tmp_path: Path
) -> None:
    row = app.champion(project)
    assert (row["target"], row["endpoint"], row["configuration"]) == ("batch", "", "")
    assert left(app, project) == []
    run = app.settled(row["run"])
    (job,) = [job for job in run["jobs"] if job["kind"] == "transform"]
    assert (job["name"], job["status"]) == (f"acme--{row['run']}-deploy-0-1-0-0-0", "Completed")
    (line,) = [line for line in run["plan"]["worst_case"]["lines"] if line["state"] == "Deploy"]
    assert 0 < job["usd"] < line["usd"]
    assert run["usd"] == pytest.approx(sum(job["usd"] for job in run["jobs"]))
    answers = app.s3.list_objects_v2(Bucket=app.artifacts, Prefix=f"acme/{project}/{keys.BATCH}/golden/")["Contents"]
    assert sum(item["Key"].endswith(".json.out") for item in answers) == 3
    rows = tmp_path / "rows.csv"
    rows.write_bytes(ROWS)
    refused = command(app, "predict", f"acme/{project}", str(rows))
    assert refused.exit_code == 1
    assert "in service without an endpoint" in refused.output
    assert f"tandem batch acme/{project}" in refused.output


def test_a_file_is_answered_by_the_champion_once_however_often_its_event_comes(app: App, project: str) -> None:
    key, version, number = send(app, project, "some rows+.csv", ROWS)
    told = settled(app, project, number)
    assert told["status"] == batch.ANSWERED, told
    assert len(labels(app, told)) == 3
    assert told["version"] == app.champion(project)["version"]
    again = start(app, key, version, len(ROWS))
    assert again["status"] == "SUCCEEDED"
    assert row(app, project, number) == told
    sagemaker = app.cloud.client("sagemaker")
    jobs = sagemaker.list_transform_jobs(NameContains=f"acme--{project}")["TransformJobSummaries"]
    assert [job["TransformJobStatus"] for job in jobs] == ["Completed"] * 2, "of the deployment, and of the file"
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


def test_a_deployment_that_somebody_stops_stops_its_golden_samples(app: App, project: str) -> None:
    champion = app.champion(project)["package_arn"]
    stopped = app.start_deployment(project, another(app, champion, {"target": "batch"}))
    app.reaches(stopped, "Answer golden requests")
    job = app.submitted(stopped)["TransformJobArn"].rpartition("/")[2]
    app.states.stop_execution(executionArn=stopped)
    sagemaker = app.cloud.client("sagemaker")
    app.eventually(lambda: sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"] == "Stopped")
    app.eventually(lambda: left(app, project) == [] and not app.item(ledger.lease_key("acme", project)))
    assert app.champion(project)["package_arn"] == champion


def test_a_file_that_is_gone_is_no_answer(app: App, project: str) -> None:
    execution = start(app, keys.batch_file("acme", project, "gone.csv"), "none", 1)
    assert execution["error"].startswith("S3.")


def test_the_command_line_uploads_a_file_and_fetches_its_answers(app: App, project: str, tmp_path: Path) -> None:
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.csv"
    rows.write_bytes(ROWS)
    told = command(app, "--json", "batch", f"acme/{project}", str(rows), "-o", str(answers))
    assert told.exit_code == 0, told.output
    assert answers.read_text().count("\n") == 4
    cost = json.loads(command(app, "--json", "cost", f"acme/{project}").stdout)
    newest = cost["batches"][0]  # an earlier one was stopped before it had a machine, and cost nothing
    assert newest["seconds"] > 0
    assert newest["usd"] > 0
    (tmp_path / "rows.json").write_text("{}")
    refused = command(app, "batch", f"acme/{project}", str(tmp_path / "rows.json"))
    assert (refused.exit_code, "See job logs" in refused.output) == (1, True)


def test_a_version_that_answers_otherwise_than_evaluated_does_not_become_champion(app: App, project: str) -> None:
    champion = app.champion(project)["package_arn"]
    package = another(app, champion, {"target": "batch"})
    sagemaker = app.cloud.client("sagemaker")
    golden = sagemaker.describe_model_package(ModelPackageName=package)["CustomerMetadataProperties"]["golden"]
    bucket, key = keys.parse_uri(golden)
    samples = json.loads(app.read(key))
    outputs = samples["samples"][0]["outputs"]
    outputs |= {label: 1 - value for label, value in outputs.items()}
    other = f"acme/{project}/runs/other/{keys.GOLDEN}"
    app.s3.put_object(Bucket=bucket, Key=other, Body=json.dumps(samples))
    properties = {"golden": f"s3://{bucket}/{other}"}
    sagemaker.update_model_package(ModelPackageArn=package, CustomerMetadataProperties=properties)
    ended = app.deploy(project, package)
    assert (ended["status"], ended["error"]) == ("FAILED", "GoldenSamplesDiffer")
    assert app.champion(project)["package_arn"] == champion
    assert left(app, project) == []


def test_a_version_for_devices_has_a_bundle_that_answers_its_golden_samples(app: App, project: str) -> None:
    champion = app.champion(project)["package_arn"]
    # The archive is a copy that the application's key encrypts, as before tenants had keys of their own.
    settings = {"target": "edge", "batch_instance": "ml.m5.xlarge"}
    package = another(app, champion, settings, archive=archive_of(app, champion))
    ended = app.deploy(project, package)
    assert ended["status"] == "SUCCEEDED", ended
    row = app.champion(project)
    assert (row["target"], row["endpoint"], row["package_arn"]) == ("edge", "", package)
    prefix = keys.edge_prefix("acme", project, row["version"])
    packed = app.read(prefix + keys.EDGE_BUNDLE)
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        assert f"{bundle.MODEL}/{keys.MODEL_ONNX}" in files.namelist()
        golden = files.read(bundle.GOLDEN)
    assert len(Golden.from_dict(json.loads(golden)).samples) == 3
    made = bundle.zipped(bundle.files(Path(bundle.__file__).parents[1], archive_of(app, package), golden))
    assert packed == made, "tandem export makes the same bytes"
    recipe = json.loads(app.read(prefix + keys.EDGE_RECIPE))
    (artifact,) = recipe["Manifests"][0]["Artifacts"]
    assert artifact["URI"] == f"s3://{app.artifacts}/{prefix}{keys.EDGE_BUNDLE}"
    assert recipe["ComponentVersion"] == f"1.{row['version']}.0"
    with device(f"acme/{project}", {**os.environ, **app.cloud.environment}, golden=3) as url:
        asked = urllib.request.Request(f"{url}/invocations", data=ROWS, headers={"Content-Type": "text/csv"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert len(json.load(answer)["predictions"]) == 3


def test_a_change_to_files_deletes_the_endpoint_after_the_switch(app: App, project: str) -> None:
    champion = app.champion(project)["package_arn"]
    assert app.deploy(project, another(app, champion, {"target": "serverless"}))["status"] == "SUCCEEDED"
    assert app.endpoints(project) == [f"acme--{project}--serverless"]
    direct = app.predict(project, ROWS, "text/csv")["predictions"]
    assert app.deploy(project, champion)["status"] == "SUCCEEDED"
    assert app.champion(project)["target"] == "edge"
    assert left(app, project) == []
    _, _, number = send(app, project, "compared.csv", ROWS)
    assert labels(app, settled(app, project, number)) == [each["label"] for each in direct]
