"""``tandem runs``: what ran, newest first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli import ledger, render
from cli.aws import split_project
from cli.options import Context


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
    context.out.show(
        render.table(
            ("run", "project", "started", "outcome", "cost", "reason"),
            (
                (
                    row.run,
                    f"{row.tenant}/{row.project}",
                    row.started[:19].replace("T", " "),
                    render.outcome(row.outcome or row.status),
                    render.dollars(row.usd),
                    row.reasons[0] if row.reasons else None,
                )
                for row in rows
            ),
        )
    )
