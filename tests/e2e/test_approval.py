"""A version waits for a person, where the project wants that; what the registry says is what happens."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as tandem
from contract import names
from contract.run import Outcome
from tests.e2e.app import App, subscriber
from tests.e2e.data import table, table_toml
from tests.e2e.test_state_by_state import Machine
from tests.e2e.upgrades import RENAMED, STATE, upgraded
from tests.permissions import refused_on_purpose

MANUAL = '[gate]\napprove = "manual"\n'


def waiting(app: App, run: str, seconds: float = 90) -> str:
    """Return the version's ARN once the run waits for its approval."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        arn = app.row(run).get("execution_arn")
        events = app.states.get_execution_history(executionArn=arn, maxResults=1000)["events"] if arn else []
        if any(event["type"] == "TaskSubmitted" and _is_asking(event) for event in events):
            return app.row(run)["package_arn"]
        time.sleep(0.2)
    raise TimeoutError(f"run {run} does not ask: {app.row(run)}")


def _is_asking(event: dict[str, Any]) -> bool:
    return "asked" in event["taskSubmittedEventDetails"].get("output", "")


def _approve_by_link(message: str) -> None:
    """Do what the page behind the notification's link does."""
    found = re.search(r"http\S+", message)
    assert found, message
    url, _, secret = found[0].rstrip('"').partition("#")

    def post(**asked: str) -> Any:
        request = urllib.request.Request(url, data=json.dumps({"secret": secret, **asked}).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
    assert "<title>Approve a version</title>" in page
    assert "[hidden] { display: none !important; }" in page, "the form is seen though there is nothing to decide"
    shown = post()
    assert shown["status"] == "PendingManualApproval", "to look decides nothing"
    assert shown["metrics"]["accuracy"] > 0.5
    assert post(status="Approved", note="seen")["status"] == "Approved"
    with pytest.raises(urllib.error.HTTPError, match="409"):
        post(status="Rejected")


def say(app: App, package: str, status: str, note: str = "") -> None:
    description = {"ApprovalDescription": note} if note else {}
    app.cloud.client("sagemaker").update_model_package(
        ModelPackageArn=package, ModelApprovalStatus=status, **description
    )


def ada(app: App, service: str) -> Any:
    """Return a client of a person of her own."""
    iam = app.cloud.client("iam")
    if "ada.l" not in {user["UserName"] for user in iam.list_users()["Users"]}:
        iam.create_user(UserName="ada.l")
    key = iam.create_access_key(UserName="ada.l")["AccessKey"]
    make = app.cloud.make_client  # type: ignore[attr-defined]
    return make(service, key["AccessKeyId"], key["SecretAccessKey"])


def test_an_approved_version_is_deployed_and_a_rejected_one_is_not(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(more=MANUAL))
    messages = subscriber(app, project, f"/{project} waits for your approval")
    run = app.upload(project, "rows.csv", table(seed=1, age_counts=False))
    package = waiting(app, run)
    assert app.champion(project) == {}
    refused = app.deploy(project, package)
    assert "PendingManualApproval" in refused["cause"], "nobody gets past the approval"
    with upgraded(app):
        _approve_by_link(messages())
        settled = app.settled(run)
        assert settled["outcome"] == Outcome.DEPLOYED, settled["reasons"]
        assert app.champion(project)["package_arn"] == package
        _went_on_as_it_began(app, settled)

    key = f"acme/{project}/inbox/rows.csv"
    upload = ada(app, "s3").put_object(Bucket=app.data, Key=key, Body=table(400, seed=1))["VersionId"]
    run = names.run_for_upload(project, app.data, key, upload)
    rejected = waiting(app, run)
    ada(app, "sagemaker").update_model_package(
        ModelPackageArn=rejected, ModelApprovalStatus="Rejected", ApprovalDescription="the region is missing"
    )
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.KEPT_CHAMPION
    assert settled["reasons"] == ["version 2 was rejected: the region is missing"]
    assert app.champion(project)["package_arn"] == package
    assert "Deploy" not in app.visited(settled)
    _is_on_the_record(app, project, settled, upload)
    _expires(app, settled)


@pytest.mark.more
def test_a_version_that_was_approved_after_its_run_was_stopped_is_deployed_when_that_is_resumed(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=1, more=MANUAL))
    run = app.upload(project, "rows.csv", table(seed=1))
    package = waiting(app, run)
    app.states.stop_execution(executionArn=app.row(run)["execution_arn"])
    assert app.settled(run)["outcome"] == Outcome.STOPPED
    say(app, package, "Approved")
    resumed = CliRunner().invoke(tandem, ["resume", run], env=app.cloud.environment)
    assert resumed.exit_code == 0, resumed.output
    assert app.settled(run)["outcome"] == Outcome.DEPLOYED
    assert app.champion(project)["package_arn"] == package


def _went_on_as_it_began(app: App, settled: dict[str, Any]) -> None:
    """The next release was deployed in the middle: the run has its own states still, and the functions are new."""
    assert RENAMED in app.states.describe_state_machine(stateMachineArn=app.pipeline)["definition"]
    assert STATE in app.visited(settled)
    assert RENAMED not in app.visited(settled)
    pages = app.states.get_paginator("get_execution_history").paginate(executionArn=settled["execution_arn"])
    outputs = [
        event.get("taskSucceededEventDetails", {}).get("output", "") for page in pages for event in page["events"]
    ]
    assert any("release" in output for output in outputs)


def _is_on_the_record(app: App, project: str, rejected: dict[str, Any], upload: str) -> None:
    """The audit trail says who did what with which data and model."""

    def everything(*more: str) -> list[dict[str, Any]]:
        told = CliRunner().invoke(tandem, ["audit", f"acme/{project}", "--json", *more], env=app.cloud.environment)
        assert told.exit_code == 0, told.output
        found: list[dict[str, Any]] = json.loads(told.stdout)
        return found

    def audit(*more: str) -> dict[str, dict[str, Any]]:
        return {entry["what"]: entry for entry in everything(*more)}  # the last of each kind

    app.eventually(lambda: audit().get("run ended: KEPT_CHAMPION"))
    done, hers = audit(), audit("--who", "ada.l")
    assert {"configured", "uploaded", "run started", "version: registered", "deployment: DEPLOYED"} <= done.keys()
    assert set(hers) == {"uploaded", "version: Rejected"}
    assert {entry["proof"] for entry in hers.values()} == {"cloudtrail"}
    assert hers["uploaded"]["data"].endswith(f"/inbox/rows.csv@{upload}")
    assert hers["version: Rejected"]["model"] == rejected["package"]["package_arn"]
    assert hers["version: Rejected"]["note"] == "the region is missing"
    approved = [entry for entry in everything() if entry["what"] == "version: Approved"]
    assert "Approval" in approved[0]["who"], "by the page behind the link, whoever opened it"
    assert "Tidy" in approved[-1]["who"], "it is in production"
    assert "Intake" in done["run started"]["who"]
    ended = done["run ended: KEPT_CHAMPION"]
    assert (ended["run"], ended["data"]) == (rejected["run"], hers["uploaded"]["data"])
    assert ended["fingerprint"] == rejected["dataset"]["fingerprint"]
    assert ended["model_sha256"] == rejected["evaluation"]["model_sha256"]
    assert audit("--what", "nothing") == {}


def _expires(app: App, settled: dict[str, Any]) -> None:
    """Run the two states again by themselves, with a minute instead of hours: nobody says anything.

    They are of a machine that Decide may not answer, and it is told of the rejection, too.
    """
    pipeline = Machine(app, app.pipeline)
    pipeline.states["Approve"]["TimeoutSeconds"] = 60
    package = settled["package"]
    say(app, package["package_arn"], "PendingManualApproval")
    variables = {"run": settled["request"], "package": package, "evaluation": settled["evaluation"]}
    with refused_on_purpose(app.cloud):
        assert pipeline.after("Approve", variables) == "Expire approval"
        assert pipeline.after("Expire approval", variables) == "Settle run"
        calls = app.cloud.calls  # type: ignore[attr-defined]
        app.eventually(lambda: any(each.action == "states:SendTaskSuccess" for each in calls.denied()))
    described = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=package["package_arn"])
    assert described["ModelApprovalStatus"] == "Rejected"
    assert described["ApprovalDescription"] == "nobody approved it within 72 hours"
