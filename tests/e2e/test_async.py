"""A model behind a queue: asked by the command line and by the API, and updated while requests wait."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from cli.errors import Exit
from cli.main import app as main
from contract import keys, names
from contract.run import RUNNING
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.versions import LIMIT, another, archive_of, poisoned

PROJECT = "queued"
ENDPOINT = names.endpoint("acme", PROJECT, "async")
ROW = {"income": 2.0, "age": 80, "region": "south"}
GOOD = json.dumps({"instances": [ROW]})
BAD = json.dumps({"instances": [{**ROW, "income": "much"}]})
FORGOTTEN = 4.0  # seconds: three periods of an alarm by this clock, in which errors of a version before still count
CANARY = {"target": "async", "instances": 2, "rollout": "canary", "step_percent": 50, "bake_minutes": 1}
TO_ZERO = {"min_instances": 0, "max_instances": 2, "backlog_per_instance": 50.0}


@pytest.fixture(scope="module")
def first(app: App) -> str:
    """The package of a version in service at an asynchronous endpoint."""
    app.configure(PROJECT, table_toml(epochs=1, more='[deploy]\ntarget = "async"\nmax_concurrency = 1'))
    run = app.settled(app.upload(PROJECT, "rows.csv", table(seed=1)))
    assert run["outcome"] == "DEPLOYED", run
    return str(app.champion(PROJECT)["package_arn"])


@pytest.fixture(scope="module")
def api(app: App, first: str) -> tuple[str, dict[str, str]]:
    """The project's address, and the headers that open it."""
    told = tandem(app, "--json", "key", "add", "acme", f"c{uuid.uuid4().hex[:8]}", "--rate", "1000", "--burst", "1000")
    headers = {"x-api-key": json.loads(told.stdout)["key"], "content-type": "application/json"}
    return f"{app.outputs[names.OUTPUT_API_URL]}acme/{PROJECT}/", headers


def tandem(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], prog_name="tandem", env=app.cloud.environment)


def fetched(app: App, url: str, headers: dict[str, str], asked: requests.Response) -> requests.Response:
    """Return the answer to a request that waits, as soon as there is one."""
    assert asked.status_code == 202, asked.text

    def look() -> list[requests.Response]:
        answer = requests.get(url + asked.headers["Location"], headers=headers, timeout=30)
        return [] if answer.status_code == 202 else [answer]

    return app.eventually(look)[0]


def test_both_ways_of_asking_bring_the_same_answer(
    app: App, first: str, api: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    assert app.champion(PROJECT)["endpoint"] == ENDPOINT
    described = app.cloud.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    output = described["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3OutputPath"] == f"s3://{app.artifacts}/{keys.async_prefix('acme', PROJECT)}{keys.ASYNC_ANSWERS}"
    file = tmp_path / "row.json"
    file.write_text(GOOD + " " * (7 << 20))  # more than InvokeEndpoint takes
    told = tandem(app, "--json", "predict", f"acme/{PROJECT}", str(file))
    assert told.exit_code == Exit.GOOD, told.output
    url, headers = api
    answer = fetched(app, url, headers, requests.post(f"{url}predict", data=GOOD, headers=headers, timeout=30))
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == json.loads(told.stdout)["predictions"]
    document = requests.get(f"{url}openapi.json", headers=headers, timeout=30).json()
    assert "/predictions/{id}" in document["paths"]


def test_a_request_that_does_not_fit_leaves_a_failure_and_says_where_it_is_wrong(
    app: App, first: str, api: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(BAD)
    told = tandem(app, "predict", f"acme/{PROJECT}", str(file))
    assert told.exit_code == Exit.REFUSED, told.output
    assert "instances[0].income" in told.output
    assert app.listing(keys.async_prefix("acme", PROJECT) + keys.ASYNC_FAILURES)
    url, headers = api
    answer = fetched(app, url, headers, requests.post(f"{url}predict", data=BAD, headers=headers, timeout=30))
    assert answer.status_code == 400, answer.text
    error: Any = answer.json()["error"]
    assert (error["type"], error["path"]) == ("InvalidInput", "instances[0].income")


def test_a_version_that_breaks_in_service_goes_back_by_itself_and_every_request_ends(app: App, first: str) -> None:
    champion, failures = app.champion(PROJECT), keys.async_prefix("acme", PROJECT) + keys.ASYNC_FAILURES
    before = len(app.listing(failures))
    settings = {**CANARY, "bake_minutes": 3, "max_error_percent": 5.0}
    arn = app.start_deployment(PROJECT, another(app, first, settings, archive=poisoned(archive_of(app, first))))
    strange, asked = json.dumps({"instances": [{**ROW, "income": LIMIT * 2}]}), []
    while app.states.describe_execution(executionArn=arn)["status"] == RUNNING:
        asked.append(_ask(app, strange))
        time.sleep(0.05)
    execution = app.ended(arn)
    assert execution["status"] == "FAILED", execution
    assert names.alarm(ENDPOINT, "AllTraffic", "errors") in execution["cause"]
    assert app.champion(PROJECT) == champion
    app.eventually(lambda: len(_answered(app, asked)) + len(app.listing(failures)) - before == len(asked))


def test_an_update_in_steps_loses_none_of_the_requests_that_wait(app: App, first: str) -> None:
    sagemaker = app.cloud.client("sagemaker")
    none = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=none)
    app.eventually(lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService")
    asked = [_ask(app) for _ in range(40)]
    second = another(app, first, CANARY | TO_ZERO)
    assert not _answered(app, asked), "there is nobody to answer"
    time.sleep(FORGOTTEN)
    arn = app.start_deployment(PROJECT, second)
    app.reaches(arn, "Wait for endpoint")
    asked += [_ask(app) for _ in range(40)]
    execution = app.ended(arn)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    assert app.champion(PROJECT)["package_arn"] == second
    assert app.eventually(lambda: len(_answered(app, asked)) == len(asked))
    policies, alarms = _scaling(app)
    assert set(policies) == {"backlog-per-instance", "first-instance"}
    assert alarms == {names.alarm(ENDPOINT, "AllTraffic", "backlog"): [policies["first-instance"]]}
    other = app.deploy(PROJECT, another(app, first, {"target": "serverless"}), at_once=True)
    assert other["status"] == "SUCCEEDED", other
    app.eventually(lambda: app.endpoints(PROJECT) == [names.endpoint("acme", PROJECT, "serverless")])
    assert app.eventually(lambda: _scaling(app) == ({}, {}))


def _scaling(app: App) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the ARNs of the endpoint's scaling policies by name, and what its alarm on the queue does."""
    found = app.cloud.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=names.variant_resource(ENDPOINT, "AllTraffic")
    )["ScalingPolicies"]
    backlog = names.alarm(ENDPOINT, "AllTraffic", "backlog")
    alarms = app.cloud.client("cloudwatch").describe_alarms(AlarmNames=[backlog])["MetricAlarms"]
    return (
        {policy["PolicyName"]: policy["PolicyARN"] for policy in found},
        {alarm["AlarmName"]: alarm["AlarmActions"] for alarm in alarms},
    )


def _answered(app: App, asked: list[str]) -> set[str]:
    """Return the addresses at which there is an answer."""
    prefix = keys.async_prefix("acme", PROJECT) + keys.ASYNC_ANSWERS
    return {f"s3://{app.artifacts}/{key}" for key in app.listing(prefix)} & set(asked)


def _ask(app: App, body: str = GOOD) -> str:
    """Put a request into the queue; return where its answer will be."""
    key = keys.async_prefix("acme", PROJECT) + keys.ASYNC_REQUESTS + "same"
    app.s3.put_object(Bucket=app.artifacts, Key=key, Body=body.encode())
    queued = app.cloud.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=ENDPOINT, ContentType="application/json", InputLocation=f"s3://{app.artifacts}/{key}"
    )
    return str(queued["OutputLocation"])
