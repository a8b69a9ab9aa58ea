"""Settle run: what a run cost and how it went, told once.

Good ends arrive from the state machine, bad ones (FAILED, TIMED_OUT, ABORTED)
from an EventBridge rule, because no Catch sees those. Either may be delivered
again: documents are written first and may be written twice, the ledger's row
changes once, and the event is put after it.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from contract import keys, ledger, names
from contract.run import RUNNING, Failure, Job, Outcome, Run
from functions import budget, causes, documents, history, jobs, machines, report, runs, searches, table
from functions.paid_jobs import STOP_SECONDS
from functions.shared import client, logger

LONGEST_STOP, BETWEEN_LOOKS = STOP_SECONDS + 60, 5.0
"""Seconds: until a stopped job has saved its model, and has uploaded it; between two looks."""
OUTCOMES = {"FAILED": Outcome.FAILED, "TIMED_OUT": Outcome.STOPPED, "ABORTED": Outcome.STOPPED}


@dataclass(frozen=True, kw_only=True)
class News:
    """How a run ended, as told by the machine or by an event."""

    run: str
    outcome: Outcome
    reasons: list[str]
    ended: str
    execution_arn: str | None = None
    error: str = ""
    cause: str = ""
    redrives: int = 0  # of the execution, before this end
    first_row: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Settle the run that ``event`` tells of.

    Args:
        event: ``{"run_id", "outcome", "reasons", "redrives"}`` from the machine, or an EventBridge event
            ``Step Functions Execution Status Change`` with a bad status.
        context: unused.

    Returns:
        ``{"run", "outcome", "settled"}``; settled is False for old news.
    """
    news = _from_event(event["detail"]) if "detail" in event else _from_machine(event)
    settled = settle(news)
    logger.info("run settled" if settled else "old news", extra={"run": news.run, "outcome": news.outcome.value})
    return {"run": news.run, "outcome": news.outcome.value, "settled": settled}


def _from_machine(event: Mapping[str, Any]) -> News:
    return News(
        run=event["run_id"],
        outcome=Outcome(event["outcome"]),
        reasons=list(event.get("reasons") or []),
        redrives=event.get("redrives", 0),
        ended=history.iso(datetime.now(UTC)),
    )


def _from_event(detail: Mapping[str, Any]) -> News:
    """Read an execution's status; its dates are milliseconds since 1970."""
    started, ended = (
        history.iso(datetime.fromtimestamp(detail[name] / 1000, UTC)) for name in ("startDate", "stopDate")
    )
    return News(
        run=names.run_for_execution(detail["name"]),
        outcome=OUTCOMES[detail["status"]],
        reasons=[],
        ended=ended,
        execution_arn=detail["executionArn"],
        error=detail.get("error") or f"Execution {detail['status'].lower().replace('_', ' ')}",
        cause=detail.get("cause") or "",
        redrives=detail.get("redriveCount") or 0,
        first_row={"started": started, **_asked(detail.get("input") or "{}")},
    )


def _asked(text: str) -> dict[str, str]:
    """Return what an execution's input says of its run, for a run that died before it was accepted."""
    console = json.loads(text)
    if not isinstance(console, dict) or not console.get("tenant") or not console.get("project"):
        return {}
    return {"project": f"{console['tenant']}/{console['project']}", "upload": str(console.get("upload"))}


def settle(news: News) -> bool:
    """Write everything there is to tell of a run's end; return False when it was told before."""
    if news.execution_arn:
        try:
            runs.begin(news.run, news.execution_arn, news.first_row)
        except runs.RunIdTaken:  # Accept request failed on it too: the execution's own error says so
            logger.exception("an execution ended under the id of another's run", extra={"run": news.run})
            return False
    row = table.get(ledger.run_key(news.run))
    if row is None:
        raise LookupError(f"the ledger has no run {news.run!r}; Accept request makes its row")
    age = runs.age(row, news.outcome, news.ended)
    if age is runs.Age.OLD:
        return False
    if age is runs.Age.NEW:
        run = story(row, news)
        if run is None:
            return False
        _write(run)
        budget.settle(run, news.redrives)
        settled = _settled_row(run)
        if not runs.settle(row, settled):
            # By another delivery of these news; or a late cover of the redrive that ended made it RUNNING.
            return (table.get(ledger.run_key(news.run)) or {}).get("status") == RUNNING and settle(news)
        row |= settled
        _measure(run)
    machines.release(news.run)
    runs.announce(row)
    return True


def story(row: Mapping[str, Any], news: News) -> Run | None:
    """Return a run's story when its jobs are billed no more; None where the execution was redriven meanwhile.

    What is stopped goes on for some time. A job that does so for too long is in the story with its bill so far.
    """
    latest = time.monotonic() + LONGEST_STOP
    while not was_redriven(news, row["execution_arn"]):
        stop_jobs(news)
        going_on = jobs.going_on(news.run)
        if going_on and time.monotonic() < latest:
            time.sleep(BETWEEN_LOOKS)
            continue
        if going_on:
            logger.warning("settled with jobs that go on", extra={"run": news.run, "jobs": going_on})
        return tell(row, news)
    return None


def was_redriven(news: News, execution_arn: str) -> bool:
    """Say whether bad news is so late that the execution was redriven in the meantime: its next end is told instead.

    The number of redrives tells, not the status: DescribeExecution may be behind, and an execution that has just ended
    is RUNNING to it.
    """
    if news.outcome not in OUTCOMES.values():
        return False
    described = client("stepfunctions").describe_execution(executionArn=execution_arn)
    return bool(described["redriveCount"] > news.redrives)


def stop_jobs(news: News) -> None:
    """Stop what runs on, and nobody waits for."""
    if stopped := jobs.stop(news.run):
        logger.info("jobs stopped", extra={"run": news.run, "jobs": stopped})


def tell(row: Mapping[str, Any], news: News) -> Run:
    """Gather a run's story from the ledger, S3, Step Functions and SageMaker."""
    tenant, _, project = str(row.get("project", "")).partition("/")
    prefix = keys.run_prefix(tenant, project, news.run)
    visits, end = history.read(history.events(row["execution_arn"]))
    plan = documents.read(prefix + keys.PLAN)
    trained, processed = jobs.training(news.run), jobs.processing(news.run)
    tried = searches.of_run(news.run)
    board = searches.board(tried[-1], note=plan["tune"]["note"]) if tried and plan else None
    billed = [*map(searches.bill, tried), *map(jobs.bill_training, trained), *map(jobs.bill_processing, processed)]
    billed += map(jobs.bill_transform, jobs.transforms(news.run))
    if board and board.best:
        trained.append(tried[-1].trained[board.best])
    lost = [job for search in tried for job in search.trained.values()] if board and not board.best else []
    log = jobs.failure_log([*trained, *lost], processed)
    failure = _failure(news, end, log) if news.outcome in OUTCOMES.values() else None
    champion = (table.get(ledger.champion_key(tenant, project)) if tenant else None) or {}
    return Run(
        run=news.run,
        tenant=tenant,
        project=project,
        outcome=news.outcome.value,
        reasons=[_headline(failure)] if failure else news.reasons,
        started=row["started"],
        ended=news.ended,
        execution_arn=row["execution_arn"],
        request=documents.read(prefix + keys.REQUEST),
        dataset=documents.read(prefix + keys.DATASET_REPORT),
        plan=plan,
        evaluation=_evaluation(prefix),
        epochs=jobs.epochs(trained),
        jobs=billed,
        states=visits,
        package={name: row[name] for name in ("package_arn", "version")} if row.get("package_arn") else None,
        endpoint=champion.get("endpoint") if champion.get("run") == news.run else None,
        failure=failure,
        tuning=board,
        usd=None if any(job.usd is None for job in billed) else round(sum(job.usd or 0.0 for job in billed), 6),
    )


def _evaluation(prefix: str) -> dict[str, Any] | None:
    """Return the evaluation report, with the values that its scatter shows."""
    report: dict[str, Any] | None = documents.read(prefix + keys.EVALUATION_REPORT)
    pairs = documents.read(prefix + keys.EVALUATION_PAIRS) if report else None
    return {**report, "pairs": pairs} if report and pairs else report


def _failure(news: News, end: history.End, log: str) -> Failure:
    state, error, cause = end.state, end.error or news.error, end.cause or causes.readable(news.cause)
    return Failure(state=state, error=error, cause=cause, log=log if news.outcome is Outcome.FAILED else "")


def _headline(failure: Failure) -> str:
    told = {
        "ExecutionAborted": "a person stopped the execution",
        "ExecutionTimedOut": "the execution ran longer than it may",
    }.get(failure.error, failure.error)
    where = f"{failure.state}: " if failure.state else ""
    cause = causes.headline(failure.cause)
    return f"{where}{told}" + (f": {cause}" if cause and cause != told else "")


def _write(run: Run) -> None:
    """Write run.json and report.html; a run whose input names no project has no place for them."""
    if not run.tenant:
        return
    prefix = keys.run_prefix(run.tenant, run.project, run.run)
    documents.write(prefix + keys.RUN_DOCUMENT, dataclasses.asdict(run))
    documents.write_text(prefix + keys.REPORT, report.render(run), "text/html; charset=utf-8")


def _settled_row(run: Run) -> dict[str, Any]:
    evaluation = run.evaluation or {}
    return {
        "status": run.outcome,
        "outcome": run.outcome,
        "reasons": run.reasons,
        "ended": run.ended,
        "usd": run.usd,
        # Which data became which model, and why the gate let it pass or not: the audit trail keeps that.
        "upload_version": run.request["upload"]["version_id"] if run.request else None,
        "fingerprint": (run.dataset or {}).get("fingerprint"),
        "model_sha256": evaluation.get("model_sha256"),
        "gate": "; ".join((evaluation.get("verdict") or {}).get("reasons") or ()) or None,
    }


def _measure(run: Run) -> None:
    """Send the run's metrics, and remember how fast it trained, for the next plan."""
    metrics = EphemeralMetrics(namespace=names.METRICS_NAMESPACE)
    for name, value in (("tenant", run.tenant), ("project", run.project), ("outcome", run.outcome)):
        metrics.add_dimension(name, value or "none")
    seconds = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
    metrics.add_metric(names.METRIC_RUN_SETTLED, MetricUnit.Count, 1)
    metrics.add_metric(names.METRIC_RUN_SECONDS, MetricUnit.Seconds, seconds.total_seconds())
    if run.usd is not None:
        metrics.add_metric(names.METRIC_RUN_COST, MetricUnit.NoUnit, run.usd)
    metrics.flush_metrics()
    _remember_throughput(run)


def _remember_throughput(run: Run) -> None:
    finished: list[Job] = [job for job in run.jobs if job.kind == "training" and job.status == "Completed"]
    speeds = [epoch["samples_per_second"] for epoch in run.epochs if epoch.get("samples_per_second", 0) > 0]
    if not (finished and speeds and run.request):
        return
    recipe, job = run.request["recipe"]["name"], finished[-1]
    key = ledger.throughput_key(run.tenant, run.project, recipe, job.instance, job.hosts)
    table.put(key, {"samples_per_second": statistics.median(speeds), "run": run.run, "measured": run.ended})
