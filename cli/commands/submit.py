"""``tandem submit``: checks, uploads, follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from cli import ending, estimate, render, tenants, upload
from cli.aws import Account, error_code, split_project
from cli.errors import CommandError, Exit
from cli.options import Context
from contract import keys, names
from contract.errors import InvalidConfig
from contract.parsing import parse_toml
from contract.recipes import AUTO, Recipe

CONFIG_NAME = "project.toml"
ONE_REQUEST = 100_000_000  # bytes; larger files go up in parallel parts


def submit(
    context: Context,
    path: Annotated[Path, typer.Argument(help="Zip of class folders with images, CSV or Parquet.")],
    project: Annotated[str, typer.Option(metavar="TENANT/PROJECT", help="The project it is for.")],
    config: Annotated[
        Path | None,
        typer.Option(help="project.toml to upload first; by default the one beside PATH, if there is one."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Follow the run until it ends.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the run could cost; upload nothing.")] = False,
) -> int:
    """Check a file, upload it, and follow the run that it starts."""
    tenant, name = split_project(project)
    upload.check_there(path)
    config = config or _beside(path)
    table = upload.read_config(config) if config else _deployed_config(context.account, tenant, name)
    recipe = _check(path, table, project)
    if dry_run:
        return estimate.show(context, estimate.worst_case(context.account, path, tenant, name, table))
    run = send(context.account, path, tenant, name, config)
    configured = f", as {config} says" if config else f", as the bucket's {CONFIG_NAME} says" if table else ""
    size = render.size(path.stat().st_size)
    chosen = AUTO if _is_auto(table) else recipe.name
    context.out.say(f"Uploaded {path} ({size}). Recipe {chosen}{configured}. Run {run}.")
    if not follow:
        context.out.document({"run": run, "project": project, "recipe": chosen})
        context.out.show(f"Follow it with: tandem watch {run}")
        return Exit.GOOD
    return ending.follow_run(context, run, f"{project}  run {run}")


def _check(path: Path, config: dict[str, Any], project: str) -> Recipe:
    try:
        return upload.check(path, config)
    except InvalidConfig as error:
        if config:
            raise
        made = f"tandem new {project} --recipe tabular --target COLUMN" if path.suffix != ".zip" else ""
        fix = f"There is no {CONFIG_NAME} beside {path}, nor in the bucket."
        refused = CommandError(str(error), f"{fix} Make one: {made}" if made else fix)
        refused.code = Exit.REFUSED
        raise refused from error


def send(account: Account, path: Path, tenant: str, project: str, config: Path | None) -> str:
    """Upload project.toml (when given) and the file; return the id of the run that this starts.

    Raises:
        CommandError: for a tenant that was not added.
    """
    tenants.require(account, tenant)
    s3, bucket = account.client("s3"), account.installation.data_bucket
    if config:
        s3.put_object(Bucket=bucket, Key=keys.project_config(tenant, project), Body=config.read_bytes())
    key = keys.inbox(tenant, project) + path.name
    version = _put(s3, path, bucket, key) if path.stat().st_size <= ONE_REQUEST else _put_parts(s3, path, bucket, key)
    return names.run_for_upload(project, bucket, key, version)


def _put(s3: Any, path: Path, bucket: str, key: str) -> str:
    with path.open("rb") as file:
        return str(s3.put_object(Bucket=bucket, Key=key, Body=file)["VersionId"])


def _put_parts(s3: Any, path: Path, bucket: str, key: str) -> str:
    s3.upload_file(str(path), bucket, key)
    # boto3's transfers do not tell the version. Should somebody overwrite the object just now, theirs is followed.
    return str(s3.head_object(Bucket=bucket, Key=key)["VersionId"])


def _is_auto(config: dict[str, Any]) -> bool:
    """Say whether a project.toml lets recipes compete."""
    recipe = config.get("recipe")
    return (recipe.get("name") if isinstance(recipe, dict) else recipe) == AUTO


def _beside(path: Path) -> Path | None:
    beside = path.parent / CONFIG_NAME
    return beside if beside.is_file() else None


def _deployed_config(account: Account, tenant: str, project: str) -> dict[str, Any]:
    """Return the project.toml that is in the bucket; empty when there is none."""
    try:
        answer = account.client("s3").get_object(
            Bucket=account.installation.data_bucket, Key=keys.project_config(tenant, project)
        )
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return {}
        raise
    return parse_toml(answer["Body"].read(), f"the bucket's {CONFIG_NAME}")
