"""Prepared datasets that several tests train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.builders import csv, run_prepare


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing a small table."""
    report, out = run_prepare(tmp_path_factory.mktemp("prepared") / "table", {"rows.csv": csv(243)})
    assert report.accepted
    return out
