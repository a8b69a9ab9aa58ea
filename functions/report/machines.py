"""The run as the machines saw it: timeline, cost, jobs, lineage, request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from contract.prices import load_prices
from contract.reports import DatasetReport, EvaluationReport
from contract.run import Job, Run, StateVisit
from functions import causes
from functions.report import words
from functions.report.charts import Bar, bars
from functions.report.markup import Markup, el, join
from functions.report.tables import code, facts, folded, section, table


def timeline(run: Run) -> Markup:
    """Return a bar for every visit of a state, over the time of the execution."""
    if not run.states:
        return join()
    start = min(visit.entered for visit in run.states)
    end = max([run.ended, *(visit.left or visit.entered for visit in run.states)])
    total = words.seconds_between(start, end) or 1.0
    rows = [_visit(visit, start, end, total) for visit in run.states]
    marks = [
        el("span", words.duration(tick) if tick else "0", style=f"left:{tick / total * 100:.2f}%")
        for tick in _time_ticks(total)
    ]
    axis = el("div", el("span"), el("span", marks, class_="track ticks"), el("span"), class_="bar axis")
    caption = el("figcaption", "States as they were entered", el("span", "time since the start", class_="unit"))
    return section("Timeline", el("figure", caption, el("div", axis, rows, class_="bars gantt")))


def _visit(visit: StateVisit, start: str, end: str, total: float) -> Markup:
    offset = words.seconds_between(start, visit.entered)
    seconds = words.seconds_between(visit.entered, visit.left or end)
    style = f"margin-left:{offset / total * 100:.2f}%;width:{min(seconds / total, 1) * 100:.2f}%"
    shown = words.duration(seconds) if seconds >= 0.0005 else "0 ms"
    tip = f"{visit.name}: {shown}, {words.duration(offset)} after the start" + (
        f"; {visit.error}" if visit.error else ""
    )
    return el(
        "div",
        el("span", visit.name, class_="name", title=visit.name),
        el("span", el("i", style=style, class_="bad" if visit.error else "s0"), class_="track"),
        el("span", shown, class_="shown"),
        class_="bar",
        data_tip=tip,
    )


def _time_ticks(total: float) -> list[float]:
    """Return times for the axis, in the unit that people would count."""
    unit = 1.0 if total < 120 else 60.0 if total < 7200 else 3600.0
    return [tick * unit for tick in words.ticks(0, total / unit * 0.94)]


def cost(run: Run, evaluation: EvaluationReport | None) -> Markup:
    """Return what it cost, what was expected, what it could have cost; and the jobs."""
    plan = run.plan or {}
    expected, worst, items = plan.get("expected"), plan.get("worst_case"), []
    if run.usd is not None:
        items.append(Bar(name="actual", value=run.usd, shown=words.usd(run.usd)))
    if expected:
        items.append(Bar(name="expected", value=expected["usd"], shown=words.usd(expected["usd"]), style="s1"))
    if worst:
        items.append(Bar(name="worst case", value=worst["usd"], shown=words.usd(worst["usd"]), style="quiet"))
        items.append(Bar(name="budget", value=plan["budget_usd"], shown=words.usd(plan["budget_usd"]), style="quiet"))
    basis = el("p", f"The expectation rests on {expected['basis']}.", class_="note") if expected else None
    note = "Machines only, at on-demand prices of the dated price list; disks, S3, Lambda and requests add cents."
    if not (worst or run.jobs):
        return join()
    return section(
        "Cost and jobs",
        bars(items, title="Cost", unit="US dollars"),
        basis,
        _worst_case(worst),
        _jobs(run.jobs),
        el("p", note, class_="note"),
        _serving(run, evaluation),
    )


def _serving(run: Run, evaluation: EvaluationReport | None) -> Markup | None:
    """Return what keeping the model in service will cost."""
    deploy = (run.request or {}).get("deploy")
    chosen = next((form for form in evaluation.forms if form.name == evaluation.chosen), None) if evaluation else None
    if not (deploy and chosen):
        return None
    by_memory = {"serverless": load_prices().serverless_gb_second, "lambda": load_prices().lambda_gb_second}
    if gb_second := by_memory.get(deploy["target"]):
        # Billed by the millisecond.
        seconds, memory = math.ceil(chosen.latency_ms.get("p50", 0.0)) / 1000, deploy["memory_mb"] / 1024
        million = words.usd(1e6 * seconds * memory * gb_second)
        text = f"Serving costs nothing when idle, and about {million} for a million rows asked one by one"
        return el("p", f"{text} ({memory:g} GB for the median latency; requests and data come on top).", class_="note")
    if deploy["target"] == "edge":
        return el("p", "Serving costs nothing on AWS: devices answer.", class_="note")
    if deploy["target"] == "batch":
        machine = deploy["batch_instance"]
        price = words.usd(load_prices().transform.get(machine))
        text = f"Serving costs nothing between files, and {price} an hour while one is answered ({machine})."
        return el("p", text, class_="note")
    hourly = load_prices().hosting.get(deploy["instance"])
    total = None if hourly is None else hourly * deploy["instances"]
    machines = f"{deploy['instances']} x {deploy['instance']}"
    return el("p", f"Serving costs {words.usd(total)} an hour, asked or not ({machines}).", class_="note")


def _worst_case(worst: Mapping[str, Any] | None) -> Markup | None:
    if not worst:
        return None
    rows = [
        (
            line["state"],
            line["instance"],
            line["hosts"],
            words.duration(line["seconds"]),
            line["attempts"],
            words.usd(line["usd"]),
        )
        for line in worst["lines"]
    ]
    heads = ("state", "instance", "hosts", "longest", "attempts", "cost")
    return folded("How the worst case adds up", table(heads, rows, numbers=(2, 3, 4, 5)))


def _jobs(jobs: Sequence[Job]) -> Markup | None:
    if not jobs:
        return None
    rows = [
        (
            el("span", job.name, el("span", causes.headline(job.failure), class_="failed") if job.failure else None),
            job.kind,
            job.status,
            f"{job.hosts} x {job.instance}" + (", spot" if job.spot else ""),
            words.duration(job.billable_seconds),
            words.usd(job.usd),
        )
        for job in jobs
    ]
    heads = ("job", "kind", "status", "machines", "billed, each", "cost")
    return el("figure", el("figcaption", "Jobs"), table(heads, rows, numbers=(4, 5)))


def lineage(run: Run, dataset: DatasetReport | None, evaluation: EvaluationReport | None) -> Markup:
    """Return what the model was made of."""
    request = run.request or {}
    upload, train = request.get("upload") or {}, request.get("train") or {}
    return section(
        "Lineage",
        facts(
            [
                ("Upload", code(f"s3://{upload['bucket']}/{upload['key']}") if upload else ""),
                ("Upload version", code(upload["version_id"]) if upload else ""),
                ("Upload size", _upload_size(upload) if upload else ""),
                ("Recipe", (request.get("recipe") or {}).get("name", "")),
                ("Seed", str(train["seed"]) if "seed" in train else ""),
                ("Dataset", code(dataset.fingerprint) if dataset and dataset.fingerprint else ""),
                ("Model", code(evaluation.model_sha256) if evaluation else ""),
                ("Model package", code(run.package["package_arn"]) if run.package else ""),
                ("Endpoint", code(run.endpoint) if run.endpoint else ""),
                ("Execution", code(run.execution_arn)),
            ]
        ),
        _settings(request),
    )


def _upload_size(upload: Mapping[str, Any]) -> str:
    return f"{words.plural(upload['files'], 'file')}, {words.size(upload['bytes'])}"


def _settings(request: Mapping[str, Any]) -> Markup | None:
    if not request:
        return None
    return folded("The whole request", el("pre", json.dumps(request, indent=2, ensure_ascii=False)))
