"""What has a remedy gets it, what has none is told with its true cause; the champion never leaves service."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from unittest.mock import ANY

import numpy as np
import pytest
from safetensors.numpy import save

from contract import keys, ledger, names
from contract.run import Outcome
from local.sagemaker.faults import LAB, KilledRank, MissingCapacity, SpotInterruption
from tests.e2e.app import App
from tests.e2e.data import table, table_toml

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"


def test_missing_spot_capacity_goes_on_demand(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=True))
    with LAB.inject(MissingCapacity(job=f"{project}-*-spot-*")):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    visited = app.visited(run)
    assert visited.index("Train on spot") < visited.index("Is capacity missing?") < visited.index("Train on demand")


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


def test_a_training_script_that_raises_shows_the_end_of_its_traceback(app: App) -> None:
    project, run = app.project(), f"boom-{time.time_ns() % 10**9}"
    app.configure(project, table_toml())
    prefix = keys.run_prefix("acme", project, run)
    checkpoint = f"{prefix}{keys.CHECKPOINTS}epoch-00001-step-0000000.safetensors"
    app.s3.put_object(Bucket=app.artifacts, Key=checkpoint, Body=_checkpoint_of_other_data())
    upload = f"acme/{project}/rows.csv"
    app.s3.put_object(Bucket=app.data, Key=upload, Body=table())
    request = {"tenant": "acme", "project": project, "upload": f"s3://{app.data}/{upload}"}
    app.states.start_execution(stateMachineArn=app.pipeline, name=run, input=json.dumps(request))
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.FAILED
    assert "training/train.py" in settled["failure"]["cause"]
    assert "of other settings or other data" in settled["failure"]["cause"]
    assert "of other settings or other data" in " ".join(settled["reasons"])
    assert "of other settings or other data" in app.read(prefix + keys.REPORT).decode()


def _checkpoint_of_other_data() -> bytes:
    progress = {"learning": {}, "fingerprint": "another", "epoch": 1}
    return save({"rng.cpu": np.zeros(1, np.uint8)}, metadata={"progress": json.dumps(progress)})


@pytest.mark.parametrize("spot", [True, False])
def test_a_training_failure_shows_the_end_of_its_traceback(app: App, spot: bool) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=spot, learning_rate=10.0, epochs=40))
    fault = KilledRank(job=f"{project}-*", process="training.train", when="epoch=2 ")
    with LAB.inject(fault):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.FAILED
    assert "SIGKILL" in json.dumps(run["failure"]) or "signal 9" in json.dumps(run["failure"]).lower()
    assert "TrainingFailed" in json.dumps(run["failure"]) or "AlgorithmError" in json.dumps(run["failure"])


@pytest.mark.parametrize("spot", [True, False])
def test_a_stopped_training_job_fails_the_run_with_its_status(app: App, spot: bool) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=10_000, spot=spot))
    run = app.upload(project, "rows.csv", table())
    job = _training_job(app, run)
    app.cloud.client("sagemaker").stop_training_job(TrainingJobName=job)
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.FAILED
    assert "Stopped" in settled["failure"]["cause"]


def test_a_stopped_execution_stops_its_job_and_is_settled(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=10_000))
    run = app.upload(project, "rows.csv", table())
    job = _training_job(app, run)
    app.states.stop_execution(executionArn=app.row(run)["execution_arn"], error="Enough", cause="changed my mind")
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.STOPPED
    assert "changed my mind" in json.dumps(settled["failure"])
    status = app.cloud.client("sagemaker").describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
    assert status in ("Stopping", "Stopped")


def test_the_same_event_ten_times_is_one_run(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=2))
    key = keys.inbox("acme", project) + "rows.csv"
    version = app.s3.put_object(Bucket=app.data, Key=key, Body=table())["VersionId"]
    detail = {"bucket": {"name": app.data}, "object": {"key": key, "version-id": version, "size": 1}}
    intake = next(
        function["FunctionName"]
        for function in app.cloud.client("lambda").list_functions()["Functions"]
        if function["Handler"] == "functions.intake.handler"
    )
    event = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    invoke = app.cloud.client("lambda").invoke
    threads = [threading.Thread(target=invoke, kwargs={"FunctionName": intake, "Payload": event}) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = names.run_for_upload(project, app.data, key, version)
    app.settled(run)
    assert [each["name"] for each in app.executions() if each["name"].startswith(project)] == [run]


def test_a_champion_that_changed_meanwhile_is_compared_again(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    first = app.settled(app.upload(project, "rows.csv", table(seed=1, noise=0.6)))
    assert first["outcome"] == Outcome.DEPLOYED, first["reasons"]
    held = app.dynamodb.put_item  # another deployment of the project holds the lease until we let it go
    lease = {name: {"S": value} for name, value in ledger.lease_key("acme", project).items()}
    expires = {"N": str(int(time.time()) + 600)}
    held(TableName=app.table, Item={**lease, "holder": {"S": "another"}, "expires": expires})
    run = app.upload(project, "rows.csv", table(400, seed=1))
    _wait_for_state(app, run, "Deploy")
    champion = app.champion(project)
    key = {name: {"S": value} for name, value in ledger.champion_key("acme", project).items()}
    app.dynamodb.update_item(
        TableName=app.table,
        Key=key,
        UpdateExpression="SET package_arn = :other",
        ExpressionAttributeValues={":other": {"S": champion["package_arn"] + "0"}},
    )
    app.dynamodb.delete_item(TableName=app.table, Key=lease)
    settled = app.settled(run)
    assert app.visited(settled).count("Evaluate") == 2, settled["reasons"]
    assert settled["outcome"] in (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION)


def test_a_version_that_answers_otherwise_than_evaluated_is_never_served(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    first = app.settled(app.upload(project, "rows.csv", table(seed=1, noise=0.6)))
    champion = app.champion(project)
    row = {"income": 2.0, "age": 80, "region": "south"}
    body = json.dumps({"instances": [row]}).encode()
    answer = app.predict(project, body)
    golden = keys.run_prefix("acme", project, first["run"]) + keys.GOLDEN
    document = json.loads(app.read(golden))
    document["samples"][0]["probabilities"] = dict.fromkeys(document["samples"][0]["probabilities"], 0.123)
    app.s3.put_object(Bucket=app.artifacts, Key=golden, Body=json.dumps(document).encode())
    execution = app.deploy(project, champion["package_arn"])
    assert execution["status"] == "FAILED"
    assert "Golden" in execution["error"] + execution["cause"]
    assert app.champion(project) == champion
    assert app.predict(project, body) == answer
    assert app.endpoints(project) == [champion["endpoint"]]


def test_any_version_can_be_taken_back_into_service(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    app.settled(app.upload(project, "rows.csv", table(seed=1, noise=0.6)))
    old = app.champion(project)
    newer = app.settled(app.upload(project, "rows.csv", table(400, seed=1)))
    assert newer["outcome"] == Outcome.DEPLOYED, newer["reasons"]
    assert app.champion(project)["package_arn"] != old["package_arn"]
    execution = app.deploy(project, old["package_arn"])
    assert execution["status"] == "SUCCEEDED", execution
    assert app.champion(project)["package_arn"] == old["package_arn"]
    body = json.dumps({"instances": [{"income": 2.0, "age": 80, "region": "south"}]}).encode()
    assert app.predict(project, body)["model"]["run"] == old["run"]


def _training_job(app: App, run: str, seconds: float = 60) -> str:
    """Wait until the run's training job has trained an epoch; return its name.

    Before that, no program is there that could hear SIGTERM: the job would be
    killed after its two minutes of grace.
    """
    logs, deadline = app.cloud.client("logs"), time.monotonic() + seconds
    while time.monotonic() < deadline:
        for job in app.cloud.client("sagemaker").list_training_jobs(NameContains=run)["TrainingJobSummaries"]:
            name = job["TrainingJobName"]
            with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                streams = logs.describe_log_streams(logGroupName=TRAINING_LOGS, logStreamNamePrefix=name)["logStreams"]
                for stream in streams:
                    events = logs.get_log_events(logGroupName=TRAINING_LOGS, logStreamName=stream["logStreamName"])
                    if any(event["message"].startswith("epoch=") for event in events["events"]):
                        return name
        time.sleep(0.2)
    raise TimeoutError(f"run {run} does not train: {app.row(run)}")


def _wait_for_state(app: App, run: str, state: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        arn = app.row(run).get("execution_arn")
        events = app.states.get_execution_history(executionArn=arn, maxResults=1000)["events"] if arn else []
        if any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in events):
            return
        time.sleep(0.2)
    raise TimeoutError(f"run {run} does not reach {state}: {app.row(run)}")


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


@pytest.mark.parametrize("spot", [True, False])
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
