"""``tandem report``: the HTML report of a run."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from cli import ending, ledger
from cli.errors import NotFound
from cli.options import Context
from contract import keys
from contract.run import RUNNING


def report(
    context: Context,
    run: Annotated[str, typer.Argument(help="The run; `tandem runs` lists them.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default RUN.html, here.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Save a run's report, one self-contained HTML file, and say how the run ended."""
    row = ledger.get_run(context.account, run)
    document = ledger.run_document(context.account, row)
    body = ledger.read(context.account, row.prefix + keys.REPORT)
    if body is None or document is None:
        still = row.status == RUNNING
        raise NotFound(
            f"Run {run} has no report yet." if still else f"Run {run} has no report.",
            f"Follow it with: tandem watch {run}" if still else f"What it wrote: tandem logs {run}",
        )
    path = output or Path(f"{run}.html")
    path.write_bytes(body)
    context.out.document({**ending.summary(context, document), "path": str(path.resolve())})
    ending.show(context, document)
    board = ending.leaderboard(document)
    if board:
        context.out.show("", board)
    context.out.show(f"Wrote {path}.")
    if show:
        webbrowser.open(path.resolve().as_uri())
