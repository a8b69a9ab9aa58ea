"""``tandem up``: the laptop cloud, in the foreground."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cli import laptop
from cli.checks import PORT
from cli.children import end_on_signals
from cli.options import Context


def up(
    context: Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = PORT,
    root: Annotated[Path, typer.Option(help="Folder for its files.")] = Path(".tandem"),
    clock_scale: Annotated[
        float,
        typer.Option(min=0.001, max=1.0, help="Laptop seconds for each second of a wait or a retry."),
    ] = 1.0,
) -> None:
    """Start the laptop cloud; Ctrl-C stops it and everything that it started."""
    end_on_signals()
    try:
        _serve(context, port, root, clock_scale)
    except KeyboardInterrupt:
        context.out.say("Stopped.")


def _serve(context: Context, port: int, root: Path, clock_scale: float) -> None:
    with laptop.running(root, port=port, clock_scale=clock_scale) as cloud:
        context.out.document(
            {"endpoint_url": cloud.endpoint_url, "environment": cloud.environment, "log": str(cloud.log)}
        )
        context.out.show(f"The laptop cloud answers at {cloud.endpoint_url}. In another terminal:", "")
        context.out.show(f"  . {shlex.quote(str(cloud.exports))}")
        context.out.show(
            "  tandem deploy --no-wheels",
            "  tandem tenant add acme",
            "",
            f"Its log is {cloud.log}. Ctrl-C stops everything.",
        )
        cloud.child.wait()
