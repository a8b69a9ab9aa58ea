"""``tandem audit``: who did what, when, with which data and model."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli import audit as trail
from cli import render
from cli.audit_entries import Entry, entries
from cli.errors import BadArgument
from cli.options import Context

SPAN = re.compile(r"(\d{1,4})([hdw])")
HOURS = {"h": 1, "d": 24, "w": 168}
OURS = re.compile(r"Tandem[A-Za-z]+-(.+)Role[0-9A-F]{8}-\w+/.*")
CUT = 12  # characters of a hash or a version that a table shows


def audit(
    context: Context,
    project: Annotated[
        str | None, typer.Argument(metavar="TENANT/PROJECT|TENANT", help="Only this one's; by default all.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: hours, days or weeks, such as 12h, 30d, 8w.")] = "30d",
    who: Annotated[str, typer.Option(help="Only what somebody did whose ARN has this in it.")] = "",
    what: Annotated[str, typer.Option(help="Only what has this in it, such as uploaded or deployment.")] = "",
) -> None:
    """Show who did what, when, with which data and model: the audit trail."""
    begin = datetime.now(UTC) - _span(since)
    found = [
        entry
        for entry in entries(trail.events(context.account, begin))
        if _concerns(entry, project) and who.lower() in entry.who.lower() and what.lower() in entry.what.lower()
    ]
    context.out.document([{name: value for name, value in asdict(entry).items() if name != "by"} for entry in found])
    headers = ("when", "who", "what", *([] if project else ["project"]), "data and model", "note")
    context.out.show(render.table(headers, (_cells(entry, project) for entry in found)))
    if not found:
        context.out.show("Nothing of that kind is in the audit trail; events come to it within minutes.")


def _span(text: str) -> timedelta:
    match = SPAN.fullmatch(text)
    if not match:
        raise BadArgument(f"--since: {text!r} is no span of time.", "Write 12h, 30d or 8w.")
    return timedelta(hours=int(match[1]) * HOURS[match[2]])


def _concerns(entry: Entry, project: str | None) -> bool:
    return project is None or entry.project == project or entry.project.startswith(f"{project}/")


def _cells(entry: Entry, project: str | None) -> tuple[Any, ...]:
    data, _, version = entry.data.rpartition("@")
    hashes = {"dataset": entry.fingerprint, "sha256": entry.model_sha256}
    about = (
        f"{data.rpartition('/')[2]}@{version[:CUT]}" if data else entry.data.rpartition("/")[2],
        "/".join(entry.model.rsplit("/", 2)[1:]),
        *(f"{name} {value[:CUT]}" for name, value in hashes.items() if value),
    )
    return (
        entry.when[:19].replace("T", " "),
        _name(entry),
        f"{entry.what} {entry.run}".strip(),
        *([] if project else [entry.project]),
        ", ".join(filter(None, about)),
        entry.note,
    )


def _name(entry: Entry) -> str:
    """Return the end of an ARN: a user, or a role and its session; of our own functions and machines what they are."""
    name = entry.who.rpartition(":")[2].removeprefix("assumed-role/").removeprefix("user/")
    ours = OURS.fullmatch(name)
    return f"{name} (said)" if entry.proof == "said" else f"tandem {ours[1]}" if ours else name
