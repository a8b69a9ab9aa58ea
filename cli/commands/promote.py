"""``tandem promote``: the challenger of an A/B test takes the champion's place."""

from __future__ import annotations

from cli import ledger
from cli.aws import split_project
from cli.errors import NotFound
from cli.options import Context, Project
from cli.release import release


def promote(
    context: Context,
    project: Project,
) -> int:
    """Give the challenger of an A/B test all traffic; `tandem rollback` without a version ends the test instead."""
    champion = ledger.champion(context.account, *split_project(project)) or {}
    challenger = champion.get("challenger")
    if not challenger:
        fix = "[deploy] ab_percent in project.toml keeps a share of requests for a new version."
        raise NotFound(f"{project} has no challenger.", fix)
    title = f"version {challenger['version']} takes the place of version {champion['version']}"
    return release(context, project, challenger["package_arn"], word="promotion", title=title)
