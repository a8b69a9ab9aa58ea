"""``tandem cost``: what runs did cost, and what serving costs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli import ledger, render, spending
from cli.aws import split_project
from cli.errors import BadArgument
from cli.options import Context
from cli.render import dollars
from contract import names
from contract.prices import load_prices

MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def cost(
    context: Context,
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|TENANT/PROJECT|TENANT", help="By default every tenant.")
    ] = None,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="By default this one.")] = None,
) -> None:
    """Show what a run, a project or a tenant did cost, and what runs in progress have reserved."""
    month = month or spending.this_month()
    if not MONTH.fullmatch(month):
        raise BadArgument(f"--month: {month!r} is no month.", "One looks like 2026-11.")
    if what is None:
        _all(context, month)
    elif "/" in what:
        _project(context, *split_project(what), month)
    elif ledger.find_run(context.account, what):
        _run(context, what)
    else:
        _tenant(context, names.check_name("tenant", what), month)


def _all(context: Context, month: str) -> None:
    found = [spending.month(context.account, tenant, month) for tenant in spending.tenants(context.account)]
    context.out.document([asdict(each) for each in found])
    cells = ((each.tenant, *map(dollars, (each.spent, each.reserved, each.budget))) for each in found)
    context.out.show(render.table(("tenant", "spent", "reserved", "budget"), cells, title=month))


def _tenant(context: Context, tenant: str, month: str) -> None:
    now, charges = spending.month(context.account, tenant, month), spending.charges(context.account, tenant, month)
    projects = sorted({charge.project for charge in charges})
    sums = {project: _sum(charge for charge in charges if charge.project == project) for project in projects}
    context.out.document({**asdict(now), "projects": {name: asdict(each) for name, each in sums.items()}})
    cells = ((name, each.run, dollars(each.spent), dollars(each.reserved)) for name, each in sums.items())
    context.out.show(render.table(("project", "runs", "spent", "reserved"), cells, title=f"{tenant}, {month}"))
    context.out.show(
        f"Together {dollars(now.spent)} spent and {dollars(now.reserved)} reserved of {dollars(now.budget)}."
    )


def _project(context: Context, tenant: str, project: str, month: str) -> None:
    name = f"{tenant}/{project}"
    charges = [each for each in spending.charges(context.account, tenant, month) if each.project == name]
    serving = spending.hosting(context.account, tenant, project, month) if month == spending.this_month() else None
    batches = spending.batches(context.account, tenant, project, month)
    total = _sum(charges)
    context.out.document(
        {
            "project": name,
            "month": month,
            "spent": total.spent,
            "reserved": total.reserved,
            "runs": [asdict(each) for each in charges],
            "batches": [asdict(each) for each in batches],
            "serving": asdict(serving) if serving else None,
        }
    )
    cells = ((each.run, dollars(each.spent), dollars(each.reserved)) for each in charges)
    context.out.show(render.table(("run", "spent", "reserved"), cells, title=f"{name}, {month}"))
    context.out.show(f"{len(charges)} runs: {dollars(total.spent)} spent, {dollars(total.reserved)} reserved.")
    if batches:
        context.out.show(_batches(batches))
    if serving:
        context.out.show(_serving(serving))


def _batches(batches: list[spending.Batch]) -> str:
    """Add batches up; those without a known price are said to be, not taken for free."""
    known = [each.usd for each in batches if each.usd is not None]
    unknown = len(batches) - len(known)
    at_least = "at least " if unknown else ""
    rest = f" The price list does not know what {unknown} of them cost." if unknown else ""
    return f"{len(batches)} batches: {at_least}{dollars(sum(known))}, on top; no budget holds for them.{rest}"


def _serving(serving: spending.Hosting) -> str:
    if serving.hourly is None:
        return f"Serving: {serving.machines}, asked or not, on top; the price list does not know what they cost."
    return (
        f"Serving: {serving.machines} at {dollars(serving.hourly)} an hour, asked or not, on top:"
        f" {dollars(serving.usd)} of this month if it had been so many all along, since {serving.since}."
    )


def _sum(charges: Iterable[spending.Charge]) -> spending.Charge:
    """Add charges up; the number of runs in place of a run."""
    found = list(charges)
    spent, reserved = (round(sum(getattr(each, name) for each in found), 6) for name in ("spent", "reserved"))
    return spending.Charge(run=str(len(found)), project="", spent=spent, reserved=reserved)


def _run(context: Context, run: str) -> None:
    row = ledger.get_run(context.account, run)
    document: dict[str, Any] = ledger.run_document(context.account, row) or {}
    jobs, plan = document.get("jobs") or [], document.get("plan") or {}
    worst = (plan.get("worst_case") or {}).get("usd")
    context.out.document({"run": run, "usd": row.usd, "worst_case_usd": worst, "jobs": jobs})
    cells = (
        (
            job["name"],
            job["kind"],
            f"{job['hosts']} x {job['instance']}" + (", spot" if job["spot"] else ""),
            render.seconds(job["billable_seconds"]),
            dollars(job["usd"]),
        )
        for job in jobs
    )
    context.out.show(render.table(("job", "kind", "machines", "billed, each", "cost"), cells))
    bound = f", at most {dollars(worst)} by its plan" if worst is not None else ""
    prices = load_prices()
    context.out.show(f"{row.status}: {dollars(row.usd)}{bound}; prices of {prices.region}, {prices.date}.")
