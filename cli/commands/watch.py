"""``tandem watch``: follows a run until it ends."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import ending, ledger
from cli.options import Context


def watch(context: Context, run: Annotated[str, typer.Argument(help="The run; `tandem runs` lists them.")]) -> int:
    """Follow a run: its states, epochs, time and cost; then how it ended."""
    row = ledger.get_run(context.account, run)
    return ending.follow_run(context, run, f"{row.tenant}/{row.project}  run {run}")
