"""What has no remedy is told with its true cause; whatever is delivered twice happens once."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
from safetensors.numpy import save

from contract import keys, names
from contract.run import Outcome
from local.chaos.faults import KilledRank, LostAnswer
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml


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
    assert "training/schedule.py" in settled["failure"]["cause"]
    assert "of other settings or other data" in settled["failure"]["cause"]
    assert "of other settings or other data" in " ".join(settled["reasons"])
    assert "of other settings or other data" in app.read(prefix + keys.REPORT).decode()


def _checkpoint_of_other_data() -> bytes:
    progress = {"learning": {}, "fingerprint": "another", "epoch": 1}
    return save({"rng.cpu": np.zeros(1, np.uint8)}, metadata={"progress": json.dumps(progress)})


def test_a_training_job_that_is_killed_says_so(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(spot=True, epochs=40))
    fault = KilledRank(job=f"{project}-*", process="training.train", when="epoch=2 ")
    with LAB.inject(fault):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.FAILED
    assert "AlgorithmError: the program on algo-1 was killed by SIGKILL" in run["failure"]["cause"]


@pytest.mark.parametrize("state", ["Train on demand", "Evaluate"])
def test_a_job_whose_creation_nobody_heard_of_is_stopped_and_billed(
    app: App, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.sagemaker.jobs.STOP_SECONDS", 1.0)  # its program may not be there yet to hear SIGTERM
    project = app.project()
    app.configure(project, table_toml(epochs=10_000 if state == "Train on demand" else 1))
    with LAB.inject(LostAnswer(state=state, execution=f"{project}*")) as (lost,):
        run = app.settled(app.upload(project, "rows.csv", table()))
    assert lost.strikes
    assert (run["outcome"], run["failure"]["error"]) == (Outcome.FAILED, "SageMaker.SdkClientException")
    job = run["jobs"][-1]
    assert job["status"] == "Stopped", run["jobs"]
    assert run["usd"] == pytest.approx(sum(each["usd"] for each in run["jobs"]))


def test_a_stopped_execution_stops_its_job_and_is_settled(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=10_000))
    run = app.upload(project, "rows.csv", table())
    job = app.training(run)
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
    intake = app.function("functions.intake.handler")
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
