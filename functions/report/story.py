"""The top of the report: how the run ended and why, in a few numbers."""

from __future__ import annotations

from contract.reports import DatasetReport, EvaluationReport
from contract.run import Outcome, Run
from functions.report import words
from functions.report.charts import Bar, bars
from functions.report.markup import Markup, el, join
from functions.report.tables import code, folded, section

MEANING = {
    Outcome.DEPLOYED: "The new model is in service.",
    Outcome.REGISTERED: "The new model is a version in the registry. It is served by whoever knows its format.",
    Outcome.KEPT_CHAMPION: "The new model was not better, so the version in service stays.",
    Outcome.REJECTED: "The upload could not become a dataset. It was not changed; nothing was trained.",
    Outcome.REFUSED: "The request has a mistake, or could cost more than it may. Nothing was trained.",
    Outcome.FAILED: "Something broke. Redrive the execution to continue at the state that failed.",
    Outcome.STOPPED: "The run was stopped before its end. Redrive the execution to continue.",
}
TONE = {Outcome.DEPLOYED: "good", Outcome.REGISTERED: "good", Outcome.KEPT_CHAMPION: "calm", Outcome.STOPPED: "calm"}


def header(run: Run) -> Markup:
    """Return outcome, name and reasons."""
    outcome = Outcome(run.outcome)
    reasons = el("ul", [el("li", reason) for reason in run.reasons], class_="reasons") if run.reasons else None
    return el(
        "header",
        el("p", f"{run.tenant} / {run.project}", class_="path"),
        el("h1", "Run ", el("span", run.run), el("span", outcome.replace("_", " "), class_=_badge(outcome))),
        el("p", MEANING[outcome], class_="meaning"),
        reasons,
        el("p", f"{words.moment(run.started)} to {words.moment(run.ended)}", class_="when"),
    )


def _badge(outcome: Outcome) -> str:
    return f"badge {TONE.get(outcome, 'bad')}"


def numbers(run: Run, dataset: DatasetReport | None, evaluation: EvaluationReport | None) -> Markup:
    """Return the key numbers."""
    cards = [_quality(evaluation), _cost(run), _time(run), _rows(dataset), _model(run, evaluation)]
    return el("div", cards, class_="cards")


def _card(title: str, value: str, *notes: str) -> Markup:
    small = [el("p", note, class_="note") for note in notes if note]
    return el("div", el("p", title, class_="title"), el("p", value, class_="value"), small, class_="card")


def _quality(evaluation: EvaluationReport | None) -> Markup:
    if evaluation is None:
        return join()
    name = evaluation.metric
    if not evaluation.rows:
        return _card(name, words.metric(evaluation.metrics[name]), "as the script itself measured it")
    rivals = f"baseline {words.metric(evaluation.baseline.get(name))}"
    if evaluation.champion:
        measured = evaluation.champion.metrics.get(name)
        rivals = f"champion {words.metric(measured)} (version {evaluation.champion.version}), {rivals}"
    return _card(
        f"Test {name}",
        words.metric(evaluation.metrics[name]),
        f"on {words.plural(evaluation.rows, 'held-out row')}",
        rivals,
    )


def _cost(run: Run) -> Markup:
    plan = run.plan or {}
    expected, worst = plan.get("expected"), plan.get("worst_case")
    notes = [f"expected {words.usd(expected['usd'])}"] if expected else []
    notes += [f"worst case {words.usd(worst['usd'])} of {words.usd(plan['budget_usd'])}"] if worst else []
    return _card("Cost", words.usd(run.usd), *notes)


def _time(run: Run) -> Markup:
    total = words.duration(words.seconds_between(run.started, run.ended))
    billed = sum(job.billable_seconds * job.hosts for job in run.jobs)
    expected = (run.plan or {}).get("expected")
    return _card(
        "Duration",
        total,
        f"{words.duration(billed)} of machines billed" if run.jobs else "",
        f"expected {words.duration(expected['seconds'])} from plan to verdict" if expected else "",
    )


def _rows(dataset: DatasetReport | None) -> Markup:
    if dataset is None:
        return join()
    if dataset.files:
        return _card("Files", words.count(dataset.files), f"{words.size(dataset.bytes)}, handed on as they are")
    parts = ", ".join(f"{words.count(rows)} {split}" for split, rows in dataset.rows.items())
    rejected = f"{words.plural(dataset.rejected_rows, 'row')} rejected" if dataset.rejected_rows else "none rejected"
    return _card("Rows", words.count(sum(dataset.rows.values())), parts, rejected)


def _model(run: Run, evaluation: EvaluationReport | None) -> Markup:
    if evaluation is None:
        return join()
    chosen = next((form for form in evaluation.forms if form.name == evaluation.chosen), None)
    speed = f"{words.size(chosen.bytes)}, {_latency(chosen.latency_ms.get('p50'))}" if chosen else ""
    title = f"version {run.package['version']}" if run.package else "not registered"
    return _card("Model", title, evaluation.chosen, speed)


def _latency(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.3g} ms a row"


def failure(run: Run) -> Markup:
    """Return what broke, with the end of the job's log."""
    if run.failure is None:
        return join()
    broken = run.failure
    where = el("p", "In state ", el("strong", broken.state), ": ", code(broken.error)) if broken.state else None
    cause = el("pre", broken.cause) if broken.cause else None
    log = folded("End of the job's log", el("pre", broken.log), open_=not broken.cause) if broken.log else None
    title = "What went wrong" if run.outcome == Outcome.FAILED else "Where it was stopped"
    return section(title, where or el("p", code(broken.error)), cause, log)


def verdict(evaluation: EvaluationReport | None) -> Markup:
    """Return the comparison with the champion and with the baseline."""
    if evaluation is None:
        return join()
    name = evaluation.metric
    items = [Bar(name="this model", value=evaluation.metrics[name], shown=words.metric(evaluation.metrics[name]))]
    champion = evaluation.champion
    if champion and name in champion.metrics:
        value = champion.metrics[name]
        items.append(
            Bar(name=f"champion, version {champion.version}", value=value, shown=words.metric(value), style="s1")
        )
    if name in evaluation.baseline:
        value = evaluation.baseline[name]
        items.append(Bar(name="baseline", value=value, shown=words.metric(value), style="quiet"))
    note = el("p", f"The champion could not be measured: {champion.note}") if champion and champion.note else None
    better = "higher is better" if evaluation.higher_is_better else "lower is better"
    rows = "same held-out rows" if evaluation.rows else "as the script itself measured it"
    high = 1.0 if all(0 <= item.value <= 1 for item in items) and evaluation.higher_is_better else None
    return section(
        "Verdict",
        el("ul", [el("li", reason) for reason in evaluation.verdict.reasons], class_="reasons"),
        note,
        bars(items, title=f"Test {name}" if evaluation.rows else name, unit=f"{better}; {rows}", high=high),
    )
