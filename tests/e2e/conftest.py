"""Whole runs: the application, deployed into the laptop cloud from its synthesised templates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.bootstrap import bootstrap
from local.cloud import Cloud
from tests.e2e.app import App

ROOT = Path(__file__).parents[2]
TOOLS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # this environment's node before any other


@pytest.fixture(scope="session")
def app(cloud: Cloud) -> App:
    """The application, deployed as `tandem deploy` does it, with TensorBoard wanted."""
    bootstrap(cloud)
    done = subprocess.run(
        [sys.executable, "-m", "infra.apply", "--no-wheels", "--context", "tandem:tensorboard=true"],
        env={**os.environ, **cloud.environment, "PATH": TOOLS},
        cwd=ROOT,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return App(cloud)
