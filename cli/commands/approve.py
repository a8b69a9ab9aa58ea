"""``tandem approve`` and ``tandem reject``: what a person says of a version, kept in the registry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import ledger
from cli.aws import split_project
from cli.errors import BadArgument, CommandError
from cli.options import Context, Project, Version
from contract import packages

Note = Annotated[str, typer.Option("--note", help="Why, for those who look at the registry later.")]


def approve(context: Context, project: Project, version: Version, note: Note = "") -> None:
    """Approve a version; a run that waits for it deploys it."""
    package = _say(context, project, version, packages.APPROVED, note)
    waits = package["ModelApprovalStatus"] == packages.PENDING
    follow = "the run that waits for it deploys it" if waits else f"`tandem rollback {project} {version}` deploys it"
    context.out.show(f"Version {version} of {project} is approved; {follow}.")


def reject(context: Context, project: Project, version: Version, note: Note = "") -> None:
    """Reject a version; a run that waits for it ends, and what is in service stays."""
    tenant, name = split_project(project)
    champion = ledger.champion(context.account, tenant, name) or {}
    challenger = champion.get("challenger") or {}
    serving = {
        int(champion.get("version", 0)): f"Put another one into service first: tandem rollback {project} VERSION",
        int(challenger.get("version", 0)): f"End its A/B test first: tandem rollback {project}",
    }
    if version in serving:
        raise CommandError(f"Version {version} of {project} is in service, so it cannot be rejected.", serving[version])
    _say(context, project, version, packages.REJECTED, note)
    context.out.show(f"Version {version} of {project} is rejected; what is in service stays.")


def _say(context: Context, project: str, version: int, status: str, note: str) -> dict[str, Any]:
    """Change the version's ModelApprovalStatus; return the package as it was before.

    Raises:
        BadArgument: when the note is longer than the registry keeps.
    """
    if len(note) > packages.NOTE_LIMIT:
        raise BadArgument(f"The note has {len(note):,} characters.", f"Say it in {packages.NOTE_LIMIT:,} at most.")
    package = ledger.get_version(context.account, *split_project(project), version)
    context.account.client("sagemaker").update_model_package(
        ModelPackageArn=package["ModelPackageArn"],
        ModelApprovalStatus=status,
        **({"ApprovalDescription": note} if note else {}),
    )
    context.out.document({"project": project, "version": version, "approval": status, "note": note})
    return package
