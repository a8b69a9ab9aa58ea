"""Fixtures that every room's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clock import Clock
from local.cloud import Cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The laptop cloud, waits fifty times faster, shared by the session's tests."""
    with Cloud(root=Path(tmp_path_factory.mktemp("cloud")), clock=Clock(scale=0.02)) as running:
        yield running
