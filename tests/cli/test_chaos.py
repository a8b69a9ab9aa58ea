"""`tandem chaos`: the list, and mistakes; that its cells run is shown by tests/faults."""

from __future__ import annotations

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
