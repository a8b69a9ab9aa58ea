"""Whom the model serves worse, what it looks at, what it withstands."""

from __future__ import annotations

from contract.reports import EvaluationReport
from functions.report import words
from functions.report.markup import Markup, el, join
from functions.report.tables import section, table

MOST_FEATURES = 15


def evidence(evaluation: EvaluationReport | None) -> Markup:
    """Return what was measured besides the score, or nothing."""
    if evaluation is None:
        return join()
    figures = join(_groups(evaluation), _importance(evaluation), _robustness(evaluation))
    return (
        section("Whom it serves, and what it withstands", el("div", figures, class_="figures")) if figures else figures
    )


def _groups(evaluation: EvaluationReport) -> Markup:
    rows = [
        (group.column, group.value, words.count(group.rows), words.metric(group.metric)) for group in evaluation.groups
    ]
    return _figure(
        f"Test {evaluation.metric} by group", table(("column", "group", "rows", "value"), rows, numbers=(2, 3))
    )


def _importance(evaluation: EvaluationReport) -> Markup:
    rows = [(name, words.metric(value)) for name, value in list(evaluation.importance.items())[:MOST_FEATURES]]
    heads = ("hidden from the model", f"{evaluation.metric} gets worse by")
    return _figure("What it looks at", table(heads, rows, numbers=(1,)))


def _robustness(evaluation: EvaluationReport) -> Markup:
    rows = [(each.name, words.metric(each.metric)) for each in evaluation.robustness]
    return _figure("What it withstands", table(("disturbance", evaluation.metric), rows, numbers=(1,)))


def _figure(caption: str, shown: Markup) -> Markup:
    return (
        el("figure", el("figcaption", caption, el("span", "held-out rows", class_="unit")), shown) if shown else shown
    )
