"""Tables as they look in a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from cli import render


@pytest.mark.parametrize("width", [100, 140])
def test_a_last_column_that_is_cut_leaves_the_others_whole(width: int) -> None:
    reason = "the worst case costs $95.41, more than budget.max_usd_per_run = 10 " * 3
    console = Console(width=width)
    with console.capture() as capture:
        console.print(
            render.table(("run", "project", "reason"), [("digits-e60dc0b057", "acme/digits", reason)], cut=True)
        )
    heads, row = (line.rstrip() for line in capture.get().splitlines())
    assert heads.split() == ["run", "project", "reason"]
    assert row.startswith("digits-e60dc0b057  acme/digits  the worst case costs $95.41, more")
    assert row.endswith("…")
    assert len(row) == width
