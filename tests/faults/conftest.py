"""The fault lab on the session's laptop cloud."""

from __future__ import annotations

import pytest

from local.chaos.routes import Lab, prepare
from local.chaos.site import Site
from tests.e2e.app import App


@pytest.fixture(scope="session")
def lab(app: App, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The application, and what one run without a fault left."""
    return prepare(Site(app.cloud.client), tmp_path_factory.mktemp("recalled"))
