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
    """The application, deployed as `tandem deploy` does it."""
    bootstrap(cloud)
    subprocess.run(
        [sys.executable, "-m", "infra.apply", "--no-wheels"],
        env={**os.environ, **cloud.environment, "PATH": TOOLS},
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return App(cloud)
