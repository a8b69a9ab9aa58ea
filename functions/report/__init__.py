"""The report of a run: one HTML file that needs nothing else.

It tells whatever there is to tell: a refused run has a header and its
reasons, a failed one its traceback, a finished one all of it.
"""

from __future__ import annotations

from pathlib import Path

from contract.reports import DatasetReport, EvaluationReport
from contract.run import Run
from functions.report import data, evidence, machines, model, search, story
from functions.report.markup import Markup, el, join

FILES = Path(__file__).parent


def render(run: Run) -> str:
    """Return report.html."""
    dataset = DatasetReport.from_dict(run.dataset) if run.dataset else None
    evaluation = EvaluationReport.from_dict(run.evaluation) if run.evaluation else None
    body = el(
        "main",
        story.header(run),
        story.numbers(run, dataset, evaluation),
        story.failure(run),
        story.verdict(evaluation),
        search.leaderboard(run),
        model.learning(run, evaluation),
        model.errors(evaluation),
        evidence.evidence(evaluation),
        model.forms(evaluation),
        data.dataset(dataset),
        machines.timeline(run),
        machines.cost(run, evaluation),
        machines.lineage(run, dataset, evaluation),
    )
    return "<!DOCTYPE html>\n" + el("html", _head(f"{run.outcome} {run.run}"), el("body", body, _tooltips()), lang="en")


def _head(title: str) -> Markup:
    # Both files are ours, so they are trusted markup; nothing of the run gets into them.
    style = Markup((FILES / "style.css").read_text(encoding="utf-8"))
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name_="color-scheme", content="light dark"),
        el("title", title),
        el("style", style),
    )


def _tooltips() -> Markup:
    script = Markup((FILES / "tooltips.js").read_text(encoding="utf-8"))
    return join(el("div", id="tip", role="tooltip", hidden=True), el("script", script))
