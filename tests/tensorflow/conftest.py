"""Keras jobs. They need TensorFlow, which this suite's environment has: `make test-tensorflow`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.training.builders import csv, pictures, run_prepare, start, training_job, zipped


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all where there is no TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        here, skip = Path(__file__).parent, pytest.mark.skip(reason="no TensorFlow here: make test-tensorflow has it")
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(skip)


def prepared(folder: Path, recipe: str, **settings: object) -> Path:
    """Return the results of preparing what ``recipe`` reads."""
    files = {"p.zip": zipped(pictures(60))} if recipe == "keras" else {"rows.csv": csv(243)}
    report, out = run_prepare(folder, files, {"recipe": {"name": recipe, **settings}})
    assert report.accepted
    return out


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing a small table."""
    return prepared(tmp_path_factory.mktemp("prepared") / "table", "keras_tabular")


@pytest.fixture(scope="session", params=["keras", "keras_tabular", "values"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return what was prepared, and the base folder of a job that learned it: images, classes or values of rows."""
    recipe = {"values": "keras_tabular"}.get(request.param, request.param)
    folder = tmp_path_factory.mktemp(request.param)
    out = prepared(folder / "prepared", recipe)
    if request.param == "values":
        report, out = run_prepare(
            folder / "prepared", {"rows.csv": csv(243)}, {"recipe": {"name": recipe}, "prepare": {"target": "income"}}
        )
        assert report.task == "regression"
    base = training_job(folder / "job", out, epochs=6, learning_rate=0.01)
    process = start(base, "-m", "training.launch", "train")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    return out, base
