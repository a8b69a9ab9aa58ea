"""Who stops an execution stops what it waits for, which would go on, and cost, by itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from local import dockerfile
from local.cloud import Cloud
from tests.e2e.app import App, held
from tests.e2e.test_state_by_state import Machine


def test_a_build(app: App, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    builds, stopped, build_image = app.cloud.client("codebuild"), threading.Event(), dockerfile.build

    def slowly(**options: Any) -> str:
        stopped.wait(60)  # an image is not built before the execution was stopped
        return build_image(**options)

    monkeypatch.setattr(dockerfile, "build", slowly)
    with Machine(app, app.pipeline).alone("Build serving image", {}) as execution:
        build = app.submitted(execution)["Build"]["Id"]
        app.states.stop_execution(executionArn=execution)
        app.eventually(lambda: any(each.action == "codebuild:StopBuild" for each in cloud.calls.all()))
        stopped.set()
        assert app.eventually(lambda: builds.batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "STOPPED")


def test_a_deployment(app: App) -> None:
    project = app.project()
    run = {"tenant": "acme", "project": project, "run": f"{project}-1"}
    variables = {"run": run, "package": {"package_arn": "arn:none"}, "champion": None}
    with held(app, project), Machine(app, app.pipeline).alone("Deploy", variables) as execution:
        deployment = app.submitted(execution)["ExecutionArn"]
        app.states.stop_execution(executionArn=execution)
        assert app.ended(deployment)["status"] == "ABORTED"
