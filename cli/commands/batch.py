"""``tandem batch``: the model in service answers a whole file, without an endpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import ledger, render
from cli.aws import Account, split_project
from cli.errors import BadArgument, CommandError, NotFound
from cli.options import Context, Project
from contract import batch as batches
from contract import keys
from contract.ledger import batch_key

LOOK_SECONDS = 2.0
STARTS_WITHIN = 120.0  # seconds; S3's events come within a few


def batch(
    context: Context,
    project: Project,
    file: Annotated[Path, typer.Argument(help="CSV with a header, JSON or npy; at most 100 MiB.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the answers; by default FILE.out.")
    ] = None,
) -> None:
    """Have the model in service answer a file by a batch transform job, and fetch the answers."""
    tenant, name = split_project(project)
    target = output or file.with_name(f"{file.name}.out")
    _check(file, target)
    if ledger.champion(context.account, tenant, name) is None:
        raise NotFound(f"No model of {project} is in service.", f"`tandem runs {project}` tells what ran.")
    number = send(context.account, tenant, name, file)
    context.out.say(f"Uploaded {file} ({render.size(file.stat().st_size)}). Batch {number}. This takes minutes.")
    row = follow(context.account, tenant, name, number)
    bucket, key = keys.parse_uri(row["answers"])
    context.account.client("s3").download_file(bucket, key, str(target))
    told = {"batch": number, "version": int(row["version"]), "answers": row["answers"], "file": str(target)}
    context.out.document({"project": project, **told})
    context.out.show(f"Version {row['version']} of {project} answered. The answers are in {target}.")


def send(account: Account, tenant: str, project: str, file: Path) -> str:
    """Upload the file; return the id of the batch that this starts."""
    s3, bucket = account.client("s3"), account.installation.data_bucket
    key = keys.batch_file(tenant, project, file.name)
    with file.open("rb") as body:
        version = s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
    return batches.batch_id(bucket, key, version)


def follow(account: Account, tenant: str, project: str, number: str) -> dict[str, Any]:
    """Wait until a batch is answered; return its row.

    Raises:
        CommandError: when it failed, was stopped, or never began.
    """
    began, table = time.monotonic(), account.table()
    while True:
        row: dict[str, Any] = table.get_item(
            Key=batch_key(tenant, project, number), ConsistentRead=True
        ).get("Item", {})  # fmt: skip
        status = row.get("status", "")
        if status == batches.ANSWERED:
            return row
        if status in (batches.FAILED, batches.STOPPED):
            raise CommandError(f"The batch ended as {status}: {row['reason']}")
        if not row and time.monotonic() - began > STARTS_WITHIN:
            raise CommandError("The batch did not begin.", "Look at the state machine tandem-batch.")
        time.sleep(LOOK_SECONDS)


def _check(file: Path, target: Path) -> None:
    if not file.is_file():
        raise BadArgument(f"There is no file {file}.")
    if file.suffix.lower() not in batches.CONTENT_TYPES:
        known = ", ".join(batches.CONTENT_TYPES)
        raise BadArgument(f"{file}: {file.suffix or 'no ending'} is not understood; expected {known}.")
    if (size := file.stat().st_size) > batches.MAX_PAYLOAD_MB * 2**20:
        limit = f"at most {batches.MAX_PAYLOAD_MB} MiB"
        raise BadArgument(
            f"{file} has {render.size(size)}; expected {limit}.", "Send it in parts, each with its header."
        )
    if target.exists():
        raise BadArgument(f"{target} is there already.", "Name another file with -o.")
