"""The fault lab on the session's laptop cloud."""

from __future__ import annotations

import pytest

from local.chaos.site import Site
from local.chaos.way import Bench, prepare
from local.chaos.ways import SPOT
from tests.e2e.app import App


@pytest.fixture(scope="session")
def bench(app: App, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The application, and what one run without a fault left."""
    app.add_tenants(Site.tenant)
    return prepare(Site(app.cloud.client), tmp_path_factory.mktemp("recalled"), SPOT)
