"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.aws import Account
from local.bootstrap import bootstrap
from local.clock import Clock
from local.cloud import Cloud
from tests import permissions
from tests.e2e.app import App, signed_in
from tests.permissions import (  # noqa: F401  pytest finds its hooks here
    pytest_addoption,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

ROOT = Path(__file__).parents[1]
ALL = "TANDEM_TESTS"
"""The variable that is ``all`` where tests marked ``more`` run, too."""
TOOLS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # this environment's node before any other

# Before any test makes a client: none may speak to a person's real account, whatever their shell says.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true")
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes more than half an hour in all to `make test-all`."""
    for item in items:
        if item.get_closest_marker("more") and os.environ.get(ALL) != "all":
            item.add_marker(pytest.mark.skip(reason="a whole run more: make test-all has it"))


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cloud]:
    """The laptop cloud, waits fifty times faster, shared by the session's tests."""
    with Cloud(root=Path(tmp_path_factory.mktemp("cloud")), clock=Clock(scale=0.02)) as running:
        yield running
        permissions.keep(pytestconfig, running)


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    """A person's account: the laptop cloud."""
    with signed_in(cloud) as account:
        yield account


@pytest.fixture(scope="session")
def app(cloud: Cloud) -> App:
    """The application, deployed as `tandem deploy` does it, with TensorBoard wanted and one tenant, acme."""
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
    deployed = App(cloud)
    deployed.add_tenants("acme")
    return deployed
