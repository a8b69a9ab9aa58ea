"""A version waits for a person, where the project wants that; what the registry says is what happens."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from contract.run import Outcome
from tests.e2e.app import App, subscriber
from tests.e2e.data import table, table_toml
from tests.e2e.test_state_by_state import Machine

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


def test_an_approved_version_is_deployed_and_a_rejected_one_is_not(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(more=MANUAL))
    messages = subscriber(app, project, f"/{project} waits for your approval")
    run = app.upload(project, "rows.csv", table(seed=1, age_counts=False))
    package = waiting(app, run)
    assert app.champion(project) == {}
    refused = app.deploy(project, package)
    assert "PendingManualApproval" in refused["cause"], "nobody gets past the approval"
    _approve_by_link(messages())
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.DEPLOYED, settled["reasons"]
    assert app.champion(project)["package_arn"] == package

    run = app.upload(project, "rows.csv", table(400, seed=1))
    say(app, waiting(app, run), "Rejected", "the region is missing")
    settled = app.settled(run)
    assert settled["outcome"] == Outcome.KEPT_CHAMPION
    assert settled["reasons"] == ["version 2 was rejected: the region is missing"]
    assert app.champion(project)["package_arn"] == package
    assert "Deploy" not in app.visited(settled)
    _expires(app, settled)


def _expires(app: App, settled: dict[str, Any]) -> None:
    """Run the two states again by themselves, with a minute instead of hours: nobody says anything."""
    pipeline = Machine(app, app.pipeline)
    pipeline.states["Approve"]["TimeoutSeconds"] = 60
    package = settled["package"]
    say(app, package["package_arn"], "PendingManualApproval")
    variables = {"run": settled["request"], "package": package, "evaluation": settled["evaluation"]}
    assert pipeline.after("Approve", variables) == "Expire approval"
    assert pipeline.after("Expire approval", variables) == "Settle run"
    described = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=package["package_arn"])
    assert described["ModelApprovalStatus"] == "Rejected"
    assert described["ApprovalDescription"] == "nobody approved it within 72 hours"
