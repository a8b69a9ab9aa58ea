"""A deployment that fails leaves the champion in service, nothing behind, and the true cause."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import keys, ledger, names
from contract.run import Outcome
from local.chaos.faults import UnhealthyEndpoint
from local.chaos.lab import LAB
from tests.e2e.app import App, held
from tests.e2e.data import table, table_toml
from tests.e2e.versions import LIMIT, another, archive_of, poisoned

ROW = json.dumps({"instances": [{"income": 2.0, "age": 80, "region": "south"}]}).encode()


@pytest.fixture(scope="module")
def served(app: App) -> str:
    """A project with a version in service."""
    project = app.project()
    app.configure(project, table_toml())
    run = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    return project


@contextmanager
def altered(app: App, key: str, body: bytes) -> Iterator[None]:
    """Have another content under a key of the artifacts bucket, for a while."""
    before = app.read(key)
    app.s3.put_object(Bucket=app.artifacts, Key=key, Body=body)
    try:
        yield
    finally:
        app.s3.put_object(Bucket=app.artifacts, Key=key, Body=before)


def of_champion(app: App, project: str, name: str) -> str:
    """Return the key of a file of the champion's run."""
    return keys.run_prefix("acme", project, app.champion(project)["run"]) + name


def test_a_version_whose_archive_was_altered_never_gets_past_staging(app: App, served: str) -> None:
    champion, answer = app.champion(served), app.predict(served, ROW)
    with altered(app, of_champion(app, served, keys.MODEL), b"not an archive"):
        execution = app.deploy(served, champion["package_arn"])
    assert execution["status"] == "FAILED"
    assert "model data archive" in execution["cause"]
    assert app.champion(served) == champion
    assert app.predict(served, ROW) == answer
    assert app.endpoints(served) == [champion["endpoint"]]


def test_an_endpoint_that_fails_to_change_gets_its_champion_back(app: App, served: str) -> None:
    champion = app.champion(served)
    with LAB.inject(UnhealthyEndpoint(endpoint=champion["endpoint"])):
        execution = app.deploy(served, champion["package_arn"])
    assert execution["status"] == "FAILED"
    assert "health check" in execution["cause"]
    assert app.champion(served) == champion
    assert app.predict(served, ROW)["predictions"]
    assert app.endpoints(served) == [champion["endpoint"]]
    assert app.deploy(served, champion["package_arn"])["status"] == "SUCCEEDED"


def test_a_staging_endpoint_that_somebody_left_is_no_hindrance(app: App, served: str) -> None:
    champion = app.champion(served)
    left = names.staging_endpoint("acme", served)
    app.cloud.client("sagemaker").create_endpoint(EndpointName=left, EndpointConfigName=champion["configuration"])
    assert app.deploy(served, champion["package_arn"])["status"] == "SUCCEEDED"
    assert app.endpoints(served) == [champion["endpoint"]]


def test_a_first_endpoint_that_never_becomes_healthy_is_removed(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    with LAB.inject(UnhealthyEndpoint(endpoint=f"acme--{project}--serverless")):
        run = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert run["outcome"] == Outcome.FAILED
    assert "health check" in run["failure"]["cause"]
    assert app.champion(project) == {}
    assert app.endpoints(project) == []


@pytest.mark.more
def test_a_champion_that_keeps_changing_fails_the_run_by_that_name(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    app.settled(app.upload(project, "rows.csv", table(seed=1, age_counts=False)))
    done = threading.Event()
    rival = threading.Thread(target=_keep_changing, args=(app, project, done))
    rival.start()
    try:
        run = app.settled(app.upload(project, "rows.csv", table(400, seed=1)))
    finally:
        done.set()
        rival.join()
    assert run["outcome"] == Outcome.FAILED
    assert run["failure"]["error"] == "ChampionKeepsChanging"
    assert app.visited(run).count("Evaluate") == 3


def _keep_changing(app: App, project: str, done: threading.Event) -> None:
    """Give the champion's row another package, as a run that is always faster would."""
    key = {name: {"S": value} for name, value in ledger.champion_key("acme", project).items()}
    package = app.champion(project)["package_arn"]
    for number in range(10_000):
        if done.wait(0.3):
            return
        values: dict[str, Any] = {":other": {"S": f"{package}{number}"}}
        app.dynamodb.update_item(
            TableName=app.table, Key=key, UpdateExpression="SET package_arn = :other", ExpressionAttributeValues=values
        )


def test_two_deployments_of_a_project_take_turns(app: App, served: str) -> None:
    package = app.champion(served)["package_arn"]
    ended: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: ended.append(app.deploy(served, package))) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert [execution["status"] for execution in ended] == ["SUCCEEDED", "SUCCEEDED"], ended
    first, second = sorted(ended, key=lambda execution: execution["startDate"])
    states = [_span(app, execution, "Create staging endpoint") for execution in (first, second)]
    assert states[0] < states[1]
    assert app.endpoints(served) == [f"acme--{served}--serverless"]


def _span(app: App, execution: dict[str, Any], state: str) -> int:
    history = app.states.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)["events"]
    return min(
        event["timestamp"].timestamp()
        for event in history
        if event.get("stateEnteredEventDetails", {}).get("name") == state
    )


def test_a_champion_that_changed_meanwhile_is_compared_again(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    first = app.settled(app.upload(project, "rows.csv", table(seed=1, age_counts=False)))
    assert first["outcome"] == Outcome.DEPLOYED, first["reasons"]
    with held(app, project):
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
    settled = app.settled(run)
    assert app.visited(settled).count("Evaluate") == 2, settled["reasons"]
    assert settled["outcome"] in (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION)


def test_a_version_that_answers_otherwise_than_evaluated_is_never_served(app: App, served: str) -> None:
    champion, answer = app.champion(served), app.predict(served, ROW)
    golden = of_champion(app, served, keys.GOLDEN)
    document = json.loads(app.read(golden))
    document["samples"][0]["outputs"] = dict.fromkeys(document["samples"][0]["outputs"], 0.123)
    with altered(app, golden, json.dumps(document).encode()):
        execution = app.deploy(served, champion["package_arn"])
    assert execution["status"] == "FAILED"
    assert "Golden" in execution["error"] + execution["cause"]
    assert app.champion(served) == champion
    assert app.predict(served, ROW) == answer
    assert app.endpoints(served) == [champion["endpoint"]]


def test_any_version_can_be_taken_back_into_service(app: App, served: str) -> None:
    old = app.champion(served)
    newer = another(app, old["package_arn"], {}, archive=poisoned(archive_of(app, old["package_arn"])))
    assert app.deploy(served, newer)["status"] == "SUCCEEDED"
    assert app.champion(served)["package_arn"] == newer
    large = json.dumps({"instances": [{"income": 2 * LIMIT, "age": 80, "region": "south"}]}).encode()
    with pytest.raises(ClientError):
        app.predict(served, large)
    execution = app.deploy(served, old["package_arn"])
    assert execution["status"] == "SUCCEEDED", execution
    assert app.champion(served)["package_arn"] == old["package_arn"]
    assert app.predict(served, large)["predictions"]


def _wait_for_state(app: App, run: str, state: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        arn = app.row(run).get("execution_arn")
        events = app.states.get_execution_history(executionArn=arn, maxResults=1000)["events"] if arn else []
        if any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in events):
            return
        time.sleep(0.2)
    raise TimeoutError(f"run {run} does not reach {state}: {app.row(run)}")
