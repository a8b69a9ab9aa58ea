"""``tandem resume``: a run that failed or was stopped goes on where it ended."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from cli import ending, ledger, render
from cli.aws import Account
from cli.errors import CommandError, Exit, NotDeployed
from cli.options import Context
from contract import names


def resume(
    context: Context,
    run: Annotated[str, typer.Argument(help="The run; `tandem runs` lists them.")],
    max_usd: Annotated[
        float | None,
        typer.Option(min=0, help="What the whole run may cost, instead of its budget.max_usd_per_run."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Follow the run until it ends.")] = True,
) -> int:
    """Go on with a failed or stopped run at the state that did not succeed; what is finished is not done again."""
    row = ledger.get_run(context.account, run)
    answer = ask(context.account, {"run": run, "max_usd": max_usd})
    if not answer["resumed"]:
        refused = CommandError(f"Run {run} is not resumed: {'; '.join(answer['reasons'])}.")
        refused.code = Exit.REFUSED
        raise refused
    spent, worst = render.dollars(answer["spent_usd"]), render.dollars(answer["worst_usd"])
    context.out.say(f"Run {run} goes on at {answer['state']!r}. It has cost {spent}; the rest costs at most {worst}.")
    if not follow:
        context.out.document(answer)
        context.out.show(f"Follow it with: tandem watch {run}")
        return Exit.GOOD
    return ending.follow_run(context, run, f"{row.tenant}/{row.project}  run {run}")


def ask(account: Account, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the resume function answers.

    Raises:
        NotDeployed: when the deployed version has none.
        CommandError: when it failed.
    """
    function = account.installation and account.outputs.get(names.OUTPUT_RESUME_FUNCTION)
    if not function:
        raise NotDeployed("What is deployed is older than `tandem resume`.", "Deploy this version: tandem deploy")
    answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        told = f"{document.get('errorType')}: {document.get('errorMessage')}"
        raise CommandError(f"The resume function failed. {told}", "Its log group tells why.")
    return document
