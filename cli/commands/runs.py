"""``tandem runs``: what ran, newest first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli import ledger, render
from cli.aws import split_project
from cli.ledger import RunRow
from cli.options import Context

WIDE = 100  # columns of a terminal that has room for the reason


def runs(
    context: Context,
    project: Annotated[
        str | None, typer.Argument(metavar="TENANT/PROJECT", help="Only this project's; by default all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
) -> None:
    """List runs, newest first."""
    if project:
        rows = ledger.project_runs(context.account, *split_project(project), limit)
    else:
        rows = ledger.recent_runs(context.account, limit)
    context.out.document([asdict(row) for row in rows])
    if not rows:
        context.out.show("No runs yet. Start one with: tandem submit DATA --project TENANT/PROJECT")
        return
    headers = ("run", "project", "started", "outcome", "cost", "reason")
    shown = headers if context.out.console.width >= WIDE else headers[:-1]
    context.out.show(render.table(shown, (_cells(row)[: len(shown)] for row in rows), cut=True))


def _cells(row: RunRow) -> tuple[Any, ...]:
    return (
        row.run,
        f"{row.tenant}/{row.project}" if row.project else None,
        row.started[:16].replace("T", " "),
        render.outcome(row.outcome or row.status),
        render.dollars(row.usd),
        row.reasons[0] if row.reasons else None,
    )
