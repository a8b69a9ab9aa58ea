"""How training went, where the model errs, and in what form it is served."""

from __future__ import annotations

import statistics

from contract.metrics import COMMON
from contract.reports import EvaluationReport
from contract.run import Run
from functions.report import words
from functions.report.charts import Line, confusion, line_chart
from functions.report.markup import Markup, el, join
from functions.report.tables import code, section, table

WORST_PAIRS = 6


def learning(run: Run) -> Markup:
    """Return the learning curves."""
    losses = [_line(run, "train_loss", "training"), _line(run, "validation_loss", "validation")]
    charts = [line_chart(losses, x_label="epoch", y_label="loss", title="Loss")]
    for name in sorted({key for epoch in run.epochs for key in epoch} - set(COMMON)):
        plain = name.removeprefix("validation_").replace("_", " ")
        title = f"Validation {plain}"
        charts.append(line_chart([_line(run, name, "validation")], x_label="epoch", y_label=plain, title=title))
    shown = join(charts)
    return section("Learning", el("div", shown, class_="figures"), _speed(run)) if shown else shown


def _speed(run: Run) -> Markup:
    """Return how fast the epochs were; the median, because the first one warms up."""
    seconds = [epoch["seconds"] for epoch in run.epochs if "seconds" in epoch]
    rows = [epoch["samples_per_second"] for epoch in run.epochs if "samples_per_second" in epoch]
    if not (seconds and rows):
        return join()
    one, speed = words.duration(statistics.median(seconds)), words.count(statistics.median(rows))
    return el("p", f"{words.plural(len(run.epochs), 'epoch')}, {one} and {speed} rows/s each (median).", class_="note")


def _line(run: Run, key: str, name: str) -> Line:
    return Line(name=name, points=[(epoch["epoch"], epoch[key]) for epoch in run.epochs if key in epoch])


def errors(evaluation: EvaluationReport | None) -> Markup:
    """Return the confusion matrix and the pairs that are confused most."""
    if evaluation is None or not evaluation.confusion:
        return join()
    labels, matrix = evaluation.labels, evaluation.confusion
    pairs = [
        (matrix[i][j], labels[i], labels[j], sum(matrix[i]))
        for i in range(len(matrix))
        for j in range(len(matrix))
        if i != j and matrix[i][j]
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:WORST_PAIRS]
    rows = [(true, guess, words.count(n), words.percent(n / total)) for n, true, guess, total in worst]
    most = table(("true class", "predicted", "rows", "of the class"), rows, numbers=(2, 3))
    caption = el("figcaption", "Most frequent mistakes", el("span", "held-out rows", class_="unit"))
    beside = el("figure", caption, most) if most else el("p", "No held-out row is misclassified.")
    right = el("div", beside, _metrics(evaluation))
    return section("Where it errs", el("div", confusion(labels, matrix, "Confusion matrix"), right, class_="figures"))


def _metrics(evaluation: EvaluationReport) -> Markup:
    rows = [(name.replace("_", " "), words.metric(value)) for name, value in evaluation.metrics.items()]
    caption = el("figcaption", "All test metrics", el("span", evaluation.chosen, class_="unit"))
    return el("figure", caption, table(("metric", "value"), rows, numbers=(1,)))


def forms(evaluation: EvaluationReport | None) -> Markup:
    """Return every form of the model that was measured."""
    if evaluation is None:
        return join()
    rows = [
        (
            el("strong", form.name, " (chosen)") if form.name == evaluation.chosen else form.name,
            words.metric(form.metrics.get(evaluation.metric)),
            _milliseconds(form.latency_ms.get("p50")),
            _milliseconds(form.latency_ms.get("p99")),
            words.size(form.bytes),
            f"{form.parity:.2g}",
        )
        for form in evaluation.forms
    ]
    heads = ("form", f"test {evaluation.metric}", "p50", "p99", "size", "parity")
    note = "Latency of one row on one thread. Parity is the largest difference from the trained model's outputs."
    return section(
        "Forms",
        table(heads, rows, numbers=(1, 2, 3, 4, 5)),
        el("p", note, class_="note"),
        el("p", "sha256 of the archive: ", code(evaluation.model_sha256), class_="note"),
    )


def _milliseconds(value: float | None) -> str:
    return words.NOTHING if value is None else f"{value:.3g} ms"
