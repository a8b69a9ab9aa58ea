"""``tandem replay``: an execution that failed in an account goes on in the laptop cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import ending, replaying, watch
from cli.errors import CommandError, Exit, NotFound
from cli.options import Context
from contract import histories, names


def replay(
    context: Context,
    execution_arn: Annotated[str, typer.Argument(metavar="EXECUTION_ARN", help="The execution that failed.")],
    history: Annotated[
        Path | None,
        typer.Option(help="Its history, as `aws stepfunctions get-execution-history` printed it; else it is fetched."),
    ] = None,
    from_profile: Annotated[
        str | None, typer.Option(help="Profile of the account that it ran in; its data is fetched, too.")
    ] = None,
    from_endpoint_url: Annotated[
        str | None, typer.Option(help="Endpoint that it ran at, where that is not AWS's.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Follow it until it ends.")] = True,
) -> int:
    """Go on with a failed execution in the laptop cloud, at the state that failed, with its input and variables."""
    account, execution = context.account, replaying.Execution.of(execution_arn)
    replaying.laptop_only(account)
    client = replaying.source(execution, from_profile, from_endpoint_url)
    events = replaying.read_history(history) if history else replaying.fetch_history(client, execution)
    moved = replaying.move(account, execution, events)
    stopped = histories.read(moved.events)
    if not stopped.error:
        raise CommandError(f"{execution.name} has not ended: there is no failed state to go on with.")
    if not history or from_profile or from_endpoint_url:
        copied = list(replaying.fetch_data(client, account, moved, replaying.run_prefix(stopped, execution)))
        context.out.say(f"Fetched the history and {len(copied)} objects.")
    if absent := replaying.missing(account, moved):
        bucket, prefix = account.installation.artifacts_bucket, replaying.run_prefix(stopped, execution)
        raise NotFound(
            f"{stopped.state!r} reads what is not in the laptop cloud:\n" + "\n".join(f"  {each}" for each in absent),
            f"Fetch it with --from-profile, or copy it to s3://{bucket}/{prefix}",
        )
    arn = replaying.bring(account, execution, moved)
    states = account.client("stepfunctions")
    redrive = states.describe_execution(executionArn=arn)["redriveCount"] + 1
    is_run = execution.machine == names.MACHINE_PIPELINE
    run = replaying.note_run(account, execution, arn, stopped, redrive) if is_run else ""
    states.redrive_execution(executionArn=arn)
    context.out.say(f"{execution.name} goes on at {stopped.state!r}, which failed with {stopped.error}.")
    if not follow:
        context.out.document({"execution_arn": arn, "run": run, "state": stopped.state})
        return Exit.GOOD
    if is_run:
        return ending.follow_run(context, run, f"replay of {run}")
    progress = watch.show(watch.Watcher(account, arn), context.out, f"replay of {execution.name}")
    context.out.document({"execution_arn": arn, "state": stopped.state, "status": progress.status})
    return Exit.GOOD if progress.status == "SUCCEEDED" else Exit.FAILED
