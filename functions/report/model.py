"""How training went, where the model errs, and in what form it is served."""

from __future__ import annotations

import statistics

from contract.metrics import COMMON
from contract.reports import EvaluationReport
from contract.run import Run
from functions.report import words
from functions.report.charts import Line, confusion, line_chart, scatter
from functions.report.markup import Markup, el, join
from functions.report.tables import code, section, table

WORST_PAIRS = 6


def learning(run: Run, evaluation: EvaluationReport | None = None) -> Markup:
    """Return the learning curves, and what training began with."""
    losses = [_line(run, "train_loss", "training"), _line(run, "validation_loss", "validation")]
    charts = [line_chart(losses, x_label="epoch", y_label="loss", title="Loss")]
    for name in sorted({key for epoch in run.epochs for key in epoch} - set(COMMON)):
        plain = name.removeprefix("validation_").replace("_", " ")
        title = f"Validation {plain}"
        charts.append(line_chart([_line(run, name, "validation")], x_label="epoch", y_label=plain, title=title))
    shown = join(charts)
    began = evaluation.start if evaluation else ""
    note = el("p", f"This model {began}.", class_="note") if began else None
    return section("Learning", note, el("div", shown, class_="figures"), _speed(run)) if shown else shown


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
    """Return where the model errs: classes that it confuses, or how far its values are off."""
    if evaluation is None:
        return join()
    return _values(evaluation) if evaluation.task == "regression" else _classes(evaluation)


def _values(evaluation: EvaluationReport) -> Markup:
    """Return predicted against true values, and the sizes of the errors."""
    shares = {"p50": "half of the values", "p90": "9 of 10", "p99": "99 of 100", "max": "all of them"}
    rows = [(shares.get(name, name), words.metric(value)) for name, value in evaluation.error_quantiles.items()]
    caption = el("figcaption", "Size of the error", el("span", "held-out rows", class_="unit"))
    sizes = el("figure", caption, table(("of the values", "error is at most"), rows, numbers=(1,)))
    right = el("div", sizes, _metrics(evaluation))
    plot = scatter(evaluation.pairs, title="Predicted against true values")
    return section("Where it errs", el("div", plot, right, class_="figures"))


def _classes(evaluation: EvaluationReport) -> Markup:
    """Return the confusion matrix and the pairs that are confused most."""
    if not evaluation.confusion:
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
    rows = [
        (name.replace("_", " "), words.metric(value), words.metric(evaluation.baseline.get(name)))
        for name, value in evaluation.metrics.items()
    ]
    caption = el("figcaption", "All test metrics", el("span", evaluation.chosen, class_="unit"))
    note = el("p", f"Baseline: {evaluation.baseline_name}.", class_="note") if evaluation.baseline_name else None
    return el("figure", caption, table(("metric", "value", "baseline"), rows, numbers=(1, 2)), note)


def forms(evaluation: EvaluationReport | None) -> Markup:
    """Return every form of the model, and why it is served or not; a script's model has no form that is known here."""
    if evaluation is None or not evaluation.forms:
        return join()
    rows = [
        (
            el("strong", form.name, " (chosen)") if form.name == evaluation.chosen else form.name,
            words.metric(form.metrics.get(evaluation.metric)),
            words.NOTHING if form.agreement is None else words.percent(form.agreement),
            _milliseconds(form.latency_ms.get("p50")),
            _milliseconds(form.latency_ms.get("p99")),
            words.size(form.bytes),
            f"{form.parity:.2g}",
            form.note,
        )
        for form in evaluation.forms
    ]
    heads = ("form", f"test {evaluation.metric}", "same answers", "p50", "p99", "size", "parity", "why")
    note = (
        "Latency of one row on one thread. Same answers: share of the test rows with the trained model's class, or "
        "with values within a hundredth of the target's standard deviation. Parity is the largest difference from the "
        "trained model's answers; of values, in standard deviations of the target."
    )
    return section(
        "Forms",
        table(heads, rows, numbers=(1, 2, 3, 4, 5, 6)),
        el("p", note, class_="note"),
        el("p", "sha256 of the archive: ", code(evaluation.model_sha256), class_="note"),
    )


def _milliseconds(value: float | None) -> str:
    return words.NOTHING if value is None else f"{value:.3g} ms"
