"""``tandem doctor``: what is missing, and how to fix it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from cli import checks, render
from cli.errors import Exit
from cli.options import Context

MARKS = {checks.GOOD: ("✓", "green"), checks.WARNING: ("!", "yellow"), checks.MISSING: ("✗", "red")}


def doctor(
    context: Context,
    machine: Annotated[bool, typer.Option("--machine", help="Look at this machine only, not at the account.")] = False,
) -> int:
    """Look for what is missing on this machine and in the account, and say how to fix it."""
    found = {"machine": checks.look_at_machine()}
    if not machine:
        found["account"] = checks.look_at_account(context.account)
    context.out.document({part: [asdict(check) for check in done] for part, done in found.items()})
    for part, done in found.items():
        context.out.show(
            Text(f"This {part}", style="bold"), render.table(("", "", ""), (_row(check) for check in done))
        )
    missing = any(check.status == checks.MISSING for done in found.values() for check in done)
    return Exit.FAILED if missing else Exit.GOOD


def _row(check: checks.Check) -> tuple[Text, str, Text]:
    mark, style = MARKS[check.status]
    return (
        Text(mark, style=style),
        check.name,
        Text.assemble(check.found, (f"\n{check.fix}" if check.fix else "", "yellow")),
    )
