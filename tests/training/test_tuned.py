"""The program of a search's training jobs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from contract import keys, metrics, names
from training import launch, tuned
from training.container import Container


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    monkeypatch.setenv(names.BASE_DIR, str(tmp_path))
    monkeypatch.setenv("TRAINING_JOB_NAME", "t-tune-0-1-0-001-abc")
    monkeypatch.setenv(names.CHECKPOINT_FOLDER, "")
    (tmp_path / "model").mkdir()
    return Container.here()


def write_model(container: Container) -> None:
    lines = [{"epoch": float(epoch), "validation_accuracy": value} for epoch, value in ((1, 0.5), (2, 0.9), (3, 0.7))]
    (container.model / keys.MODEL_METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (container.model / keys.MODEL_MANIFEST).write_text(json.dumps({"lineage": {"best_epoch": "2"}}))


def test_the_last_word_of_the_log_is_the_epoch_that_is_kept(
    container: Container, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(container)
    monkeypatch.setattr(launch, "main", lambda arguments: 0)
    assert tuned.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "validation_accuracy=0.9" in line
    assert metrics.parse_line(line) == {}  # no epoch more


def test_a_job_that_failed_says_nothing_of_a_model(
    container: Container, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(container)
    monkeypatch.setattr(launch, "main", lambda arguments: 1)
    assert tuned.main() == 1
    assert capsys.readouterr().out == ""


def test_a_job_has_checkpoints_of_its_own(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "main", lambda arguments: 0)
    tuned.main()
    assert os.environ[names.CHECKPOINT_FOLDER] == "t-tune-0-1-0-001-abc"
    assert container.checkpoints == container.base / "checkpoints" / "t-tune-0-1-0-001-abc"
