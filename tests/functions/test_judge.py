"""A script's model against the last version, by the script's own metric."""

from __future__ import annotations

import pytest

from contract.config import Gate
from contract.reports import Champion
from contract.script import read
from functions.judge import verdict


@pytest.mark.parametrize(
    ("direction", "value", "rival", "required", "promote"),
    [
        ("maximise", 0.9, None, None, True),
        ("maximise", 0.9, None, 0.95, False),
        ("minimise", 0.9, None, 0.95, True),
        ("maximise", 0.9, 0.8, None, True),
        ("minimise", 0.9, 0.8, None, False),
        ("maximise", 0.9, 0.9, None, False),
        ("maximise", 1 / 3, 0.333333, None, False),  # recorded with six digits: the same
    ],
)
def test_the_verdict_compares_with_the_last_version(
    direction: str, value: float, rival: float | None, required: float | None, promote: bool
) -> None:
    script = read({"metric": "acc", "regex": "acc=([0-9.]+)", "direction": direction})
    last = None if rival is None else Champion(package_arn="arn", version=3, metrics={"acc": rival})
    told = verdict(Gate(required=required), script, value, last)
    assert told.promote is promote
    assert ("no earlier version" in told.reasons[0]) == (rival is None)
