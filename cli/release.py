"""Starts a deployment of one version, follows it, and tells how it ended: what rollback and promote share."""

from __future__ import annotations

import json
import time
from typing import Any

from cli import watch
from cli.aws import split_project
from cli.errors import CommandError, Exit, Unwatched
from cli.follow import explain_failure
from cli.options import Context
from contract import offline, packages


def release(context: Context, project: str, package_arn: str, *, word: str, title: str) -> int:
    """Give a version all traffic, at once, after the checks of any deployment.

    Args:
        context: of the command.
        project: ``TENANT/PROJECT``.
        package_arn: the version.
        word: what it is, for messages and for the execution's name: ``rollback`` or ``promotion``.
        title: what is shown while it goes on.

    Raises:
        CommandError: when it failed; what was in service stays.
    """
    arn = _start(context, project, package_arn, word)
    try:
        progress = watch.show(watch.Watcher(context.account, arn), context.out, f"{project}  {title}")
    except KeyboardInterrupt:
        told = f"The {word} goes on; only following it has stopped. Its execution is {arn}."
        raise Unwatched(told, f"See what is in service with: tandem models {project}") from None
    if progress.status != "SUCCEEDED":
        raise CommandError(
            f"The {word} failed, and what was in service stays.\n{explain_failure(progress)}",
            "Look at the execution in the Step Functions console: " + arn,
        )
    output, version = _output(context, arn), packages.version(package_arn)
    context.out.document({"project": project, "version": version, "changed": True, **output})
    where = f" at {output['endpoint']}." if output.get("endpoint") else ". " + offline.how(output["target"], project)
    context.out.show(f"Version {version} of {project} is in service{where}")
    return Exit.GOOD


def _start(context: Context, project: str, package_arn: str, word: str) -> str:
    tenant, name = split_project(project)
    run = f"{word}-{packages.version(package_arn)}-{int(time.time()) % 1_000_000_000:x}"
    answer = context.account.client("stepfunctions").start_execution(
        stateMachineArn=context.account.installation.deployment_arn,
        name=f"{tenant}--{name}--{run}",
        input=json.dumps(
            {
                "tenant": tenant,
                "project": name,
                "run": run,
                "package_arn": package_arn,
                "expected_champion": None,
                "at_once": True,
            }
        ),
    )
    return str(answer["executionArn"])


def _output(context: Context, arn: str) -> dict[str, Any]:
    described = context.account.client("stepfunctions").describe_execution(executionArn=arn)
    output: dict[str, Any] = json.loads(described["output"])
    return output
