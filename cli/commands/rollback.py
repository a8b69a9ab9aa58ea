"""``tandem rollback``: puts an earlier version back into service."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from cli import ledger, watch
from cli.aws import split_project
from cli.errors import CommandError, Exit, Unwatched
from cli.follow import explain_failure
from cli.options import Context
from contract import packages
from contract.run import DeploymentStatus


def rollback(
    context: Context,
    project: Annotated[str, typer.Argument(metavar="TENANT/PROJECT", help="The project.")],
    version: Annotated[int, typer.Argument(help="The version to serve; `tandem models` lists them.")],
) -> int:
    """Put a version into service again: the same checks as any deployment, then all traffic."""
    tenant, name = split_project(project)
    package = ledger.get_version(context.account, tenant, name, version)
    champion = ledger.champion(context.account, tenant, name) or {}
    if champion.get("package_arn") == package["ModelPackageArn"]:
        unchanged = {"status": DeploymentStatus.DEPLOYED, "changed": False}
        context.out.document({"project": project, "version": version, **unchanged})
        context.out.show(f"Version {version} of {project} is in service already.")
        return Exit.GOOD
    arn = _start(context, tenant, name, package)
    try:
        progress = watch.show(watch.Watcher(context.account, arn), context.out, f"{project}  back to version {version}")
    except KeyboardInterrupt:
        told = f"The rollback goes on; only following it has stopped. Its execution is {arn}."
        raise Unwatched(told, f"See what is in service with: tandem models {project}") from None
    if progress.status != "SUCCEEDED":
        raise CommandError(
            f"The rollback failed, and what was in service stays.\n{explain_failure(progress)}",
            "Look at the execution in the Step Functions console: " + arn,
        )
    output = _output(context, arn)
    context.out.document({"project": project, "version": version, "changed": True, **output})
    context.out.show(f"Version {version} of {project} is in service at {output.get('endpoint')}.")
    return Exit.GOOD


def _start(context: Context, tenant: str, project: str, package: dict[str, Any]) -> str:
    version = packages.version(package["ModelPackageArn"])
    run = f"rollback-{version}-{int(time.time()) % 1_000_000_000:x}"
    answer = context.account.client("stepfunctions").start_execution(
        stateMachineArn=context.account.installation.deployment_arn,
        name=f"{tenant}--{project}--{run}",
        input=json.dumps(
            {
                "tenant": tenant,
                "project": project,
                "run": run,
                "package_arn": package["ModelPackageArn"],
                "expected_champion": None,
            }
        ),
    )
    return str(answer["executionArn"])


def _output(context: Context, arn: str) -> dict[str, Any]:
    described = context.account.client("stepfunctions").describe_execution(executionArn=arn)
    output: dict[str, Any] = json.loads(described["output"])
    return output
