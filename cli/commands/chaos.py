"""``tandem chaos``: what goes wrong on AWS now and then, on this machine."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import render
from cli.children import Child, end_on_signals
from cli.errors import CommandError, Exit
from cli.options import Context

LAB = "local.chaos"
LOOK_SECONDS = 0.2


def chaos(
    context: Context,
    fault: Annotated[str, typer.Option(help="A fault of the list: have it at every state where it can be.")] = "",
    way: Annotated[str, typer.Option(help="One way through the state machines; else all.")] = "",
    state: Annotated[str, typer.Option(help="One state; else all that the way passes.")] = "",
    plan: Annotated[Path | None, typer.Option(help="A file of faults: one upload meets them.")] = None,
) -> int:
    """Have faults strike in a laptop cloud of its own, and say what became of it; without options, list the faults."""
    end_on_signals()
    if plan:
        return _show(context, _cells("plan", str(plan.resolve())))
    if not (fault or way or state):
        return _list(context)
    chosen = {"--fault": fault, "--way": way, "--state": state}
    return _show(context, _cells("run", *[part for pair in chosen.items() if pair[1] for part in pair]))


def _list(context: Context) -> int:
    (listed,) = _cells("list")
    context.out.document(listed)
    faults = [(number, *each.values()) for number, each in enumerate(listed["faults"], start=1)]
    context.out.show(render.table(("", "fault", "what happens", "where"), faults))
    context.out.show("", f"Ways: {', '.join(listed['ways'])}.", "One fault: tandem chaos --fault throttled --way spot")
    return Exit.GOOD


def _show(context: Context, cells: Iterator[dict[str, Any]]) -> int:
    """Show each cell as it comes; return whether any was as it should not be."""
    told = []
    for cell in (document for document in cells if "state" in document):
        told.append(cell)
        wrong = "; ".join(cell["violations"])
        mark = f"WRONG: {wrong}" if wrong else cell["verdict"]
        context.out.say(f"{cell['fault']} at {cell['state']} ({cell['way']}): {cell['end']}: {mark}")
    context.out.document(told)
    bad = sum(bool(cell["violations"]) for cell in told)
    context.out.show(f"{len(told)} cells, {bad} with something that should not be.")
    return Exit.FAILED if bad or not told else Exit.GOOD


def _cells(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run the lab as a program; yield the documents that it says, as they come.

    Raises:
        CommandError: when it ended badly, and not for a cell that is as it should not be; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-chaos-") as folder:
        log = Path(folder, "lab.txt")
        with Child(LAB, *arguments, log=log, leash=True) as child, log.open(errors="replace") as said:
            running, bad = True, False
            while running:
                running = child.process.poll() is None
                for line in said:
                    if line.startswith("{") and line.endswith("}\n"):
                        document = json.loads(line)
                        bad = bad or bool(document.get("violations"))
                        yield document
                time.sleep(LOOK_SECONDS if running else 0)
            code = child.process.returncode
            if code and not (code == Exit.FAILED and bad):
                raise CommandError(f"The fault lab ended with exit code {code}. The end of its log:\n{child.tail()}")
