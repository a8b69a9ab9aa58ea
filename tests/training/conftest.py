"""Prepared datasets that several tests train on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.builders import csv, pictures, run_prepare, train_here, training_job, zipped


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small only wait for each other's threads, all the more on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing a small table."""
    report, out = run_prepare(tmp_path_factory.mktemp("prepared") / "table", {"rows.csv": csv(243)})
    assert report.accepted
    return out


@pytest.fixture(scope="session")
def trained_table(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the base folder of a training job that learned the small table."""
    base = training_job(tmp_path_factory.mktemp("trained") / "table", table, epochs=10, learning_rate=0.01)
    train_here(base)
    return base


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing a few pictures."""
    report, out = run_prepare(tmp_path_factory.mktemp("prepared") / "images", {"p.zip": zipped(pictures(60))})
    assert report.accepted
    return out


@pytest.fixture(scope="session")
def trained_images(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the base folder of a training job that learned the pictures."""
    base = training_job(tmp_path_factory.mktemp("trained") / "images", images, epochs=4)
    train_here(base)
    return base
