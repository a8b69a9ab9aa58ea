"""``tandem approve`` and ``tandem reject``: what a person says of a version, kept in the registry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import ledger
from cli.aws import split_project
from cli.errors import CommandError
from cli.options import Context

Project = Annotated[str, typer.Argument(metavar="TENANT/PROJECT", help="The project.")]
Version = Annotated[int, typer.Argument(help="The version; `tandem models` lists them.")]
Note = Annotated[str, typer.Option("--note", help="Why, for those who look at the registry later.")]
NOTE_LIMIT = 1024  # characters of ApprovalDescription


def approve(context: Context, project: Project, version: Version, note: Note = "") -> None:
    """Approve a version; a run that waits for it deploys it."""
    package = _say(context, project, version, "Approved", note)
    waits = package["ModelApprovalStatus"] == "PendingManualApproval"
    follow = "the run that waits for it deploys it" if waits else f"`tandem rollback {project} {version}` deploys it"
    context.out.show(f"Version {version} of {project} is approved; {follow}.")


def reject(context: Context, project: Project, version: Version, note: Note = "") -> None:
    """Reject a version; a run that waits for it ends, and what is in service stays."""
    tenant, name = split_project(project)
    champion = ledger.champion(context.account, tenant, name) or {}
    if int(champion.get("version", 0)) == version:
        fix = f"Put another one into service first: tandem rollback {project} VERSION"
        raise CommandError(f"Version {version} of {project} is in service, so it cannot be rejected.", fix)
    _say(context, project, version, "Rejected", note)
    context.out.show(f"Version {version} of {project} is rejected; what is in service stays.")


def _say(context: Context, project: str, version: int, status: str, note: str) -> dict[str, Any]:
    """Change the version's ModelApprovalStatus; return the package as it was before."""
    package = ledger.get_version(context.account, *split_project(project), version)
    context.account.client("sagemaker").update_model_package(
        ModelPackageArn=package["ModelPackageArn"],
        ModelApprovalStatus=status,
        **({"ApprovalDescription": note[:NOTE_LIMIT]} if note else {}),
    )
    context.out.document({"project": project, "version": version, "approval": status, "note": note})
    return package
