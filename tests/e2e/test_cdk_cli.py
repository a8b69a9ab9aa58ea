"""The real CDK command line deploys the application into the laptop cloud, and an upload runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.program import RunningCloud

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_cloud(tmp_path: Path) -> Iterator[RunningCloud]:
    """A laptop cloud in a program of its own, with nothing in it: not even CDK's bootstrap."""
    with RunningCloud(tmp_path / "cloud", clock_scale=0.02) as running:
        yield running


def test_cdk_bootstrap_and_deploy_then_an_upload_runs(bare_cloud: RunningCloud, tmp_path: Path) -> None:
    subprocess.run(["make", "cdk", "ARGS="], cwd=ROOT, check=True)  # not the ARGS of a `make test` around it
    tools = f"{Path(sys.executable).parent}:{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **bare_cloud.environment, "PATH": tools}
    flags = ["--app", f"{sys.executable} -m infra.app --no-wheels", "--output", str(tmp_path / "out"), "--ci"]
    for command in (["bootstrap"], ["deploy", "--all", "--require-approval", "never"]):
        done = subprocess.run(
            ["cdk", *command, *flags],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    app = App(bare_cloud)
    project = app.project()
    app.configure(project, table_toml())
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
