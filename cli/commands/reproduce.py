"""``tandem reproduce``: trains a version again from its lineage, and compares."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import ledger, render, reproduction
from cli.aws import split_project
from cli.errors import BadArgument, Exit
from cli.options import Context, Project, Version
from contract import names


def reproduce(
    context: Context,
    project: Project,
    version: Version,
    tolerance: Annotated[
        float,
        typer.Option(
            help="Largest relative difference of a metric that counts as the same; 0: every bit of the weights."
        ),
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the job starts.")] = False,
) -> int:
    """Train a version again, from the same code, image, dataset and settings, and compare what comes out.

    CPUs give the same bits each time; GPUs may not: give them a tolerance such as 0.01. Nothing is registered.
    """
    account = context.account
    tenant, name = split_project(project)
    package = ledger.get_version(account, tenant, name, version)
    reproduction.check_rows(account, package)
    job = reproduction.original(account, package)
    tags = names.tags(tenant, name, package["CustomerMetadataProperties"]["run"])
    asked = reproduction.request(account, job, tags)
    _confirm(context, reproduction.worst_usd(job), yes)
    for status in reproduction.train(account, asked):
        context.out.say(f"{asked['TrainingJobName']}  {status}")
    first, again = (reproduction.result(account, each["TrainingJobName"]) for each in (job, asked))
    compared = reproduction.Comparison(first=first, again=again)
    same = compared.is_identical or (tolerance > 0 and compared.difference <= tolerance)
    jobs = [each["TrainingJobName"] for each in (job, asked)]
    context.out.document(
        {"project": project, "version": version, "same": same, "training_jobs": jobs, **_told(compared)}
    )
    rows = ((name, f"{before:.6g}", f"{after:.6g}") for name, (before, after) in compared.metrics.items())
    context.out.show(render.table(("last epoch", f"version {version}", "again"), rows))
    verdict = "every bit is the same" if compared.is_identical else f"metrics differ by up to {compared.difference:.2%}"
    context.out.show(f"Version {version} of {project} is {'' if same else 'not '}reproduced: {verdict}.")
    return Exit.GOOD if same else Exit.FAILED


def _told(compared: reproduction.Comparison) -> dict[str, Any]:
    return {
        "identical": compared.is_identical,
        "difference": compared.difference,
        "weights_sha256": [compared.first.weights_sha256, compared.again.weights_sha256],
        "metrics": {name: list(pair) for name, pair in compared.metrics.items()},
    }


def _confirm(context: Context, usd: float | None, yes: bool) -> None:
    cost = f"at most ${usd:.2f}" if usd is not None else "an unknown amount: its machine's price is not known"
    context.out.say(f"Training again costs {cost}.")
    if yes:
        return
    if context.options.json or not context.out.console.is_terminal:
        raise BadArgument("reproduce asks before it trains, and nobody is there to answer.", "Add --yes.")
    if not typer.confirm("Train again?"):
        raise typer.Exit(0)
