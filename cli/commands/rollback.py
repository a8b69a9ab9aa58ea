"""``tandem rollback``: puts an earlier version back into service, or ends an A/B test."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import ledger
from cli.aws import split_project
from cli.errors import Exit, NotFound
from cli.options import Context, Project
from cli.release import release
from contract import packages
from contract.run import DeploymentStatus


def rollback(
    context: Context,
    project: Project,
    version: Annotated[
        int | None,
        typer.Argument(help="The version to serve; `tandem models` lists them. Without one, an A/B test ends."),
    ] = None,
) -> int:
    """Put a version into service again: the same checks as any deployment, then all traffic at once."""
    tenant, name = split_project(project)
    champion = ledger.champion(context.account, tenant, name) or {}
    arn = _wanted(context, project, version, champion)
    number = packages.version(arn)
    if champion.get("package_arn") == arn and not champion.get("challenger") and not champion.get("asleep"):
        unchanged = {"status": DeploymentStatus.DEPLOYED, "changed": False}
        context.out.document({"project": project, "version": number, **unchanged})
        context.out.show(f"Version {number} of {project} is in service already.")
        return Exit.GOOD
    return release(context, project, arn, word="rollback", title=f"back to version {number}")


def _wanted(context: Context, project: str, version: int | None, champion: dict[str, Any]) -> str:
    """Return the package of a version; without one, the champion's, whose challenger goes."""
    if version is not None:
        package = ledger.get_version(context.account, *split_project(project), version)
        return str(package["ModelPackageArn"])
    if not champion.get("challenger"):
        fix = f"Say which version to go back to; `tandem models {project}` lists them."
        raise NotFound(f"{project} has no A/B test to end.", fix)
    return str(champion["package_arn"])
