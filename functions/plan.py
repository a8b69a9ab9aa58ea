"""Plan compute: machines, expected time and price, and the worst case that the budget must cover.

The worst case is read from the definition that the execution runs (``functions/worst_case.py``).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from contract import attempts, keys, ledger
from contract.machines import Grant, wish
from contract.quotas import SPOT
from contract.recipes import load_recipes
from contract.reports import DatasetReport
from contract.request import RunRequest
from contract.run import Outcome
from functions import budget, combinations, definitions, documents, expected, machines, runs, table, tuning
from functions.asl import Definition
from functions.shared import logger
from functions.worst_case import Passage, worst

MOST_MINUTES = 7_200
"""The longest time that a training job gets unasked: 5 days, an account's quota in SageMaker until it asks for more."""
LONGEST_WAIT = timedelta(days=1)
"""For machines that other runs hold, from the run's beginning, or from when it was resumed."""
GB = 10**9
SPARE_GB = 10
"""Room on every disk for the image's layers, code and checkpoints."""


Parts = dict[str, Any]
"""What the states ask SageMaker for: ``train``, ``tune``, ``evaluate``."""
Pricing = Callable[[RunRequest, Parts], dict[str, Any]]
"""Returns the worst case of a request whose states ask for these parts."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Plan ``event["run"]`` (RunRequest) for ``event["dataset"]`` (DatasetReport).

    Args:
        event: also says whether a job has prepared the dataset (``prepared_in_job``), which ``execution`` plans and
            in which ``state``, how often it was redriven before (``redrives``; older definitions do not say), and
            that it ``can_wait`` for machines (older definitions cannot: their runs hold none).
            With ``run`` alone, the worst case of such a run is told, and nothing is written.
        context: unused.

    Returns:
        ``{"accepted", "outcome", "reasons", "waits", "machines", "train", "tune", "evaluate", "expected",
        "worst_case", "budget_usd"}``; None for the five from ``train`` when the request cannot be planned at all.
        ``tune`` is None when nothing is searched; then a single job trains. ``waits`` says what other runs have to give
        back before this one can be accepted; ``machines`` what it holds now, by quota.
    """
    request = RunRequest.from_dict(event["run"])
    if "dataset" not in event:
        return estimate(request, definitions.deployed())
    prepared = event["prepared_in_job"]
    passing = (event["state"], {"prepared_in_job": prepared})
    price = partial(worst_case, definition=definitions.of_execution(event["execution"]), passing=passing)
    plan = make_plan(request, DatasetReport.from_dict(event["dataset"]), price, prepared_in_job=prepared)
    if event.get("can_wait"):
        plan |= _equipped(request, plan)
    plan |= _reserved(request, plan, event.get("redrives"))
    documents.write(request.prefix + keys.PLAN, plan)
    told = {name: plan[name] for name in ("accepted", "reasons", "waits")}
    logger.info("planned", extra={"run": request.run, **told})
    return plan


def _equipped(request: RunRequest, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Take the machines of the plan; return what it becomes with those that the run got."""
    if not plan["accepted"]:
        return {}
    grant = machines.take(request.run, wish(request))
    if grant.refused:
        return _refused(grant.refused)
    if grant.waits:
        if _waited(request.run) > LONGEST_WAIT:
            return _refused(f"in a day, other runs never gave back {grant.waits}")
        return {"accepted": False, "reasons": [f"it waits for {grant.waits}"], "waits": grant.waits}
    train, tune = plan["train"], plan["tune"]
    spot = SPOT in grant.ways
    ladder = [rung for rung in train["ladder"] if rung in grant.ways] or train["ladder"]
    return {
        "machines": dict(grant.held),
        "train": {**train, "spot": spot, "ladder": ladder},
        "tune": tune and {**tune, "spot": spot},
    }


def _waited(run: str) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(runs.going_since(run))


def _refused(reason: str) -> dict[str, Any]:
    return {"accepted": False, "outcome": Outcome.REFUSED.value, "reasons": [reason]}


def _reserved(request: RunRequest, plan: Mapping[str, Any], redrives: int | None) -> dict[str, Any]:
    """Take the worst case out of the tenant's budget; return the refusal when that lacks it, else nothing new."""
    if not plan["accepted"]:
        return {}
    began = runs.started(request.run)
    reason = budget.reserve(request, month=budget.month_of(began), usd=plan["worst_case"]["usd"], redrives=redrives)
    return _refused(reason) if reason else {}


def estimate(request: RunRequest, definition: Definition) -> dict[str, Any]:
    """Return the plan of a dataset that nobody has seen yet, without what needs one: never less than the plan's sum."""
    recipe = next((each.recipe for each in request.candidates), request.recipe.name)
    task, metric = next(iter(load_recipes()[recipe].metric.items()), ("", "")) if not request.script else ("", "")
    unseen = DatasetReport(
        run=request.run, accepted=True, rows={"train": request.train.host_count}, task=task, metric=metric,
        bytes=request.upload.bytes,
    )  # fmt: skip
    plan = make_plan(request, unseen, partial(worst_case, definition=definition), prepared_in_job=True)
    now = machines.look(wish(request)) if plan["accepted"] else Grant()
    return {**plan, "expected": None, "waits": now.waits, **(_refused(now.refused) if now.refused else {})}


def make_plan(request: RunRequest, dataset: DatasetReport, price: Pricing, *, prepared_in_job: bool) -> dict[str, Any]:
    """Return the plan, accepted or REFUSED with the reasons."""
    mistakes = combinations.find_mistakes(request, dataset, prepared_in_job=prepared_in_job)
    if mistakes:
        return _answer(request, [str(mistake) for mistake in mistakes])
    if not request.train.max_minutes:
        request = _with_time(request, dataset, price)
    parts = make_parts(request, dataset)
    worst = price(request, parts)
    cap = request.budget.max_usd_per_run
    refused = [_over_budget(request, worst, cap)] if worst["usd"] > cap else []
    return {**_answer(request, refused), **parts, "expected": expected.of(request, dataset), "worst_case": worst}


def make_parts(request: RunRequest, dataset: DatasetReport) -> Parts:
    """Return what the states ask SageMaker for."""
    return {
        "train": train_part(request, dataset),
        "tune": tuning.tune_part(request, dataset),
        "evaluate": evaluate_part(request, dataset),
    }


def _with_time(request: RunRequest, dataset: DatasetReport, price: Pricing) -> RunRequest:
    """Return the request with the longest training that the budget pays for, and a minute where it pays for none."""

    def lasting(minutes: int) -> RunRequest:
        return replace(request, train=replace(request.train, max_minutes=minutes))

    def usd(minutes: int) -> float:
        return float(price(lasting(minutes), make_parts(lasting(minutes), dataset))["usd"])

    affordable = bisect_right(range(1, MOST_MINUTES + 1), request.budget.max_usd_per_run, key=usd)
    return lasting(max(1, affordable))


def _answer(request: RunRequest, reasons: list[str]) -> dict[str, Any]:
    return {
        "accepted": not reasons,
        "outcome": Outcome.REFUSED.value if reasons else None,
        "reasons": reasons,
        "waits": "",
        "machines": {},
        "train": None,
        "tune": None,
        "evaluate": None,
        "expected": None,
        "worst_case": None,
        "budget_usd": request.budget.max_usd_per_run,
    }


def ladder(request: RunRequest) -> list[str]:
    """Return the training instance types, best first, each once; of a cluster of several types, all."""
    return list(dict.fromkeys((*request.train.machines, *request.train.fallback_instances)))


def train_part(request: RunRequest, dataset: DatasetReport) -> dict[str, Any]:
    """Return what the training states ask SageMaker for."""
    train = request.train
    runtime = train.max_minutes * 60
    groups = [
        {"InstanceGroupName": name, "InstanceType": name, "InstanceCount": count}
        for name, count in train.groups.items()
    ]
    return {
        "instance": next(iter(train.machines)),
        "ladder": ladder(request),
        "groups": groups,
        "hosts": train.host_count,
        "spot": train.spot,
        "start": _start(request),
        "volume_gb": max(train.volume_gb, _volume_gb(dataset)),
        "max_runtime_seconds": runtime,
        "max_wait_seconds": runtime + train.spot_wait_minutes * 60,
    }


def _start(request: RunRequest) -> str:
    """Return the address of the model that training begins with; empty when it begins afresh."""
    if request.train.start != "champion":
        return ""
    champion = table.get(ledger.champion_key(request.tenant, request.project))
    return str(champion["model_uri"]) if champion else ""


def evaluate_part(request: RunRequest, dataset: DatasetReport) -> dict[str, Any]:
    """Return what the evaluation state asks SageMaker for."""
    return {
        "instance": request.evaluate.instance,
        "volume_gb": max(30, _volume_gb(dataset)),
        "max_runtime_seconds": request.evaluate.max_minutes * 60,
    }


def _volume_gb(dataset: DatasetReport) -> int:
    """Every host has the whole dataset, and half of it again to spare."""
    return math.ceil(1.5 * dataset.bytes / GB) + SPARE_GB


def worst_case(
    request: RunRequest, parts: Parts, *, definition: Definition, passing: Passage | None = None
) -> dict[str, Any]:
    """Return the dearest way the run can go, state by state, in US dollars."""
    search = parts["tune"]
    known = {"run": request.to_dict(), "plan": parts, "tune_on_spot": bool(search and search["spot"])}
    below = definitions.known_of_deployment(request.to_dict())
    lines = worst(definition, known, below=below, passing=passing)
    return {"usd": round(sum(line["usd"] for line in lines), 4), "lines": lines}


def _over_budget(request: RunRequest, worst: dict[str, Any], budget: float) -> str:
    lines = "; ".join(
        f"{line['state']}: {line['attempts']} x {line['hosts']} {line['instance']} for {line['seconds'] / 60:g} min"
        f" = ${line['usd']:.2f}"
        for line in worst["lines"]
    )
    return (
        f"the worst case costs ${worst['usd']:.2f}, more than budget.max_usd_per_run = {budget:g} ({lines})."
        f" Raise the budget, or lower train.max_minutes, train.hosts or evaluate.max_minutes"
        + (_fewer_jobs(request, worst, budget) if request.candidates else "")
    )


def _fewer_jobs(request: RunRequest, worst: dict[str, Any], budget: float) -> str:
    """Say how many jobs of the search the budget would cover."""
    search = sum(line["usd"] for line in worst["lines"] if line["state"] in attempts.SEARCHES)
    jobs = math.floor((budget - worst["usd"] + search) / search * request.tune.jobs)
    return f", or search with tune.jobs = {jobs}, or set tune.max_minutes" if jobs > 0 else ", or set tune.max_minutes"
