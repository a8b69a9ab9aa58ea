"""How a run ended: waits for its document, shows it, and gives the exit code."""

from __future__ import annotations

import time
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cli import ledger, render, watch
from cli.errors import CommandError, Exit, Unwatched
from cli.follow import Progress, explain_failure
from cli.options import Context
from contract import keys
from contract.run import RUNNING, Outcome

SETTLE_SECONDS = 90.0  # an execution that failed is settled by an event, a little later


def follow_run(context: Context, run: str, title: str) -> int:
    """Follow a run of the pipeline until it is settled; return the exit code of its outcome."""
    try:
        document = follow_to_document(context, run, title)
    except KeyboardInterrupt:
        raise Unwatched(f"Run {run} goes on; only following it has stopped.", f"Again: tandem watch {run}") from None
    context.out.document(summary(context, document))
    show(context, document)
    return Exit.of(document["outcome"])


def follow_to_document(context: Context, run: str, title: str) -> dict[str, Any]:
    """Follow a run of the pipeline until it is settled; return run.json."""
    row = ledger.find_run(context.account, run)
    arn = (row and row.execution_arn) or watch.execution_of(context.account, run)
    watch.wait_for_start(context.account, arn)
    progress = watch.show(watch.Watcher(context.account, arn), context.out, title)
    return settled(context, run, progress)


def settled(context: Context, run: str, progress: Progress) -> dict[str, Any]:
    """Return run.json of a run whose execution has ended.

    Raises:
        CommandError: when it is not there in time, with what the execution says.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        row = ledger.find_run(context.account, run)
        told = row and row.ended and row.status != RUNNING
        document = ledger.run_document(context.account, row) if row and told else None
        if document is not None and _tells_of(document, progress):
            return document
        time.sleep(watch.POLL_SECONDS / 2)
    raise CommandError(
        f"Run {run} ended as {progress.status}, but was not settled within {SETTLE_SECONDS:.0f} s.\n"
        f"{explain_failure(progress)}".rstrip(),
        "The log group of the settle function tells why.",
    )


def _tells_of(document: dict[str, Any], progress: Progress) -> bool:
    """Say whether run.json is of this end of the execution, not of the one before a redrive."""
    return (document["outcome"] in (Outcome.FAILED, Outcome.STOPPED)) == (progress.status != "SUCCEEDED")


def summary(context: Context, document: dict[str, Any]) -> dict[str, Any]:
    """Return what a program wants to know of a settled run."""
    evaluation = document.get("evaluation") or {}
    kept = (
        "run", "tenant", "project", "outcome", "reasons", "started", "ended", "endpoint", "usd", "package", "failure",
    )  # fmt: skip
    return {
        **{name: document.get(name) for name in kept},
        "tuning": document.get("tuning"),
        "metric": evaluation.get("metric"),
        "metrics": evaluation.get("metrics"),
        "report": _address(context, document, keys.REPORT),
        "quarantine": _address(context, document, keys.QUARANTINE) if _set_aside(document) else None,
    }


def _address(context: Context, document: dict[str, Any], name: str) -> str:
    prefix = keys.run_prefix(document["tenant"], document["project"], document["run"])
    return f"s3://{context.account.installation.artifacts_bucket}/{prefix}{name}"


def _set_aside(document: dict[str, Any]) -> int:
    """Return how many rows are in quarantine."""
    return int((document.get("dataset") or {}).get("rejected_rows") or 0)


def show(context: Context, document: dict[str, Any], *, hint: bool = True) -> None:
    """Show how a settled run ended.

    Args:
        context: where to.
        document: run.json.
        hint: whether to say how to see the report.
    """
    out = context.out
    out.show("", Text.assemble(render.outcome(document["outcome"]), f"  {document['run']}"))
    out.show(*(f"  {reason}" for reason in document["reasons"]))
    for name, value in facts(document).items():
        out.show(Text.assemble((f"  {name:<12}", "dim"), value))
    if _set_aside(document):
        out.show(Text.assemble(("  set aside   ", "dim"), _address(context, document, keys.QUARANTINE)))
    if document["outcome"] in (Outcome.FAILED, Outcome.STOPPED):
        _show_failure(context, document.get("failure") or {})
    if hint:
        out.show(Text(f"  tandem report {document['run']} --open", style="dim"))


def facts(document: dict[str, Any]) -> dict[str, str]:
    """Return what a person wants to know of a settled run, by name; what it has not got is left out."""
    evaluation, expected = document.get("evaluation") or {}, (document.get("plan") or {}).get("expected") or {}
    found = {}
    if evaluation:
        metric = evaluation["metric"]
        measured = f"{evaluation['rows']:,} held-out rows" if evaluation["rows"] else "what the script measured"
        found["test"] = f"{metric} {evaluation['metrics'][metric]:.4f} on {measured}"
    if document.get("tuning"):
        found["search"] = _search(document["tuning"])
    if document.get("endpoint"):
        found["endpoint"] = document["endpoint"]
    if document.get("usd") is not None:
        planned = f" (about {render.dollars(expected['usd'])} was expected)" if expected.get("usd") is not None else ""
        found["AWS cost"] = f"{render.dollars(document['usd'])}{planned}"
    return found


def _search(board: dict[str, Any]) -> str:
    """Return what a search found, in a line."""
    tried = f"{len(board['trials'])} of at most {board['jobs']} training jobs, {board['strategy']}"
    best = next((trial for trial in board["trials"] if trial["job"] == board["best"]), None)
    if best is None:
        return f"no model from {tried}"
    values = ", ".join(f"{name.removeprefix('options.')} {value:.6}" for name, value in best["values"].items())
    return f"{best['candidate']} was the best of {tried}: {values}"


def leaderboard(document: dict[str, Any]) -> RenderableType | None:
    """Return every training job of a run's search as a table, best first; None when there was no search."""
    board = document.get("tuning")
    if not board:
        return None
    rows = [
        (
            place,
            trial["candidate"],
            None if trial["score"] is None else f"{trial['score']:.4f}",
            trial["status"],
            render.seconds(trial["seconds"]),
            render.dollars(trial["usd"]),
            ", ".join(f"{name.removeprefix('options.')} {value:.6}" for name, value in trial["values"].items()),
        )
        for place, trial in enumerate(board["trials"], start=1)
    ]
    metric = f"validation {board['metric'].replace('_', ' ')}"
    return render.table(("", "recipe", metric, "status", "billed", "cost", "searched"), rows, title="Leaderboard")


def _show_failure(context: Context, failure: dict[str, Any]) -> None:
    where = f" in {failure['state']!r}" if failure.get("state") else ""
    context.out.show(Text(f"  {failure.get('error') or 'failed'}{where}", style="red"))
    text = failure.get("cause") or failure.get("log") or ""  # of several hosts, the one that failed is the cause
    for line in text.strip().splitlines()[-25:]:
        context.out.show(f"    {line}")
