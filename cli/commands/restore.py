"""``tandem restore``: lost rows of the ledger and lost versions of the registry come back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli import audit, restoring
from cli.aws import split_project
from cli.errors import Exit
from cli.options import Context
from contract import names


def restore(
    context: Context,
    project: Annotated[
        str | None, typer.Argument(metavar="TENANT/PROJECT", help="Only this one's; by default all.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="A table that AWS restored, whose rows are copied where the ledger lacks them.")
    ] = None,
) -> int:
    """Bring back what the ledger and the registry have lost: rows from a restored table, versions from their runs."""
    tenant, name = split_project(project) if project else ("", "")
    rows = restoring.copy_rows(context.account, table, project) if table else 0
    done = restoring.register_again(context.account, project)
    done.rows = rows
    what = f"{done.rows} rows and {len(done.versions)} versions brought back"
    audit.tell(context.account, names.EVENT_RESTORED, {"tenant": tenant, "project": name, "what": what})
    context.out.document(asdict(done))
    context.out.show(f"{what}.")
    for old, new in done.renumbered.items():
        context.out.show(f"Version {_short(old)} is {_short(new)} now; the ledger says so.")
    for arn in done.lost:
        context.out.show(f"Version {_short(arn)} cannot be registered again: its run kept nothing of it.")
    return Exit.FAILED if done.lost else Exit.GOOD


def _short(arn: str) -> str:
    return arn.rpartition(":model-package/")[2]
