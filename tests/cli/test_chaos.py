"""`tandem chaos`: the list, and mistakes; that its cells run is shown by tests/faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.errors import Exit
from tests.cli.conftest import Answer

Tandem = Callable[..., Answer]


def test_the_faults_are_listed(tandem: Tandem) -> None:
    answer = tandem("chaos", "--json")
    assert answer.code == Exit.GOOD
    assert len(answer.document["faults"]) >= 25
    assert {"fault", "what", "where"} == set(answer.document["faults"][0])
    assert "spot" in answer.document["ways"]


def test_a_mistake_in_a_plan_is_named_before_anything_starts(tandem: Tandem, tmp_path: Path) -> None:
    plan = tmp_path / "faults.toml"
    plan.write_text('[[fault]]\nkind = "mising capacity"\n')
    answer = tandem("chaos", "--plan", str(plan))
    assert answer.code != Exit.GOOD
    assert "did you mean 'missing capacity'?" in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--fault", "throtled"], "Did you mean 'throttled'?"), (["--way", "spott"], "Did you mean 'spot'?")],
    ids=["fault", "way"],
)
def test_a_name_that_is_not_known_is_refused_before_anything_starts(
    tandem: Tandem, options: list[str], told: str
) -> None:
    answer = tandem("chaos", *options)
    assert answer.code != Exit.GOOD
    assert told in answer.stdout + answer.stderr


def test_a_lab_that_cannot_run_is_no_cell_and_its_end_is_told(
    tandem: Tandem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("moto.py").write_text("raise RuntimeError('no laptop cloud today')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = tandem("chaos", "--way", "spot")
    assert answer.code == Exit.FAILED
    assert "no laptop cloud today" in answer.stderr
    assert "0 with something that should not be" not in answer.stdout


DIES = "raise RuntimeError('a laptop cloud ended before its work')"
BAD = "1 cells, 1 with something that should not be"


@pytest.mark.parametrize(
    ("violations", "end", "told"),
    [([], DIES, "a laptop cloud ended before its work"), (["paid twice"], "raise SystemExit(1)", BAD)],
    ids=["good", "bad"],
)
def test_a_lab_that_failed_after_good_cells_has_failed(
    tandem: Tandem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, violations: list[str], end: str, told: str
) -> None:
    """A program in the lab's place says what the lab says, and ends as it does."""
    cell = {"fault": "f", "state": "s", "way": "w", "end": "e", "verdict": "v", "violations": violations}
    tmp_path.joinpath("other_lab.py").write_text(f"print({json.dumps(cell)!r}, flush=True)\n{end}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("cli.commands.chaos.LAB", "other_lab")
    answer = tandem("chaos", "--way", "spot")
    assert answer.code == Exit.FAILED
    assert "f at s (w): e: " in answer.stdout
    assert told in answer.stdout + answer.stderr
