"""``tandem forget``: erases an upload, or some people's rows, from everything that a project keeps."""

from __future__ import annotations

import csv
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli import audit, erasing_rows, erasure, forgetting, render, versions
from cli.aws import split_project
from cli.erasure import UPLOADS, Plan, Scope
from cli.errors import BadArgument
from cli.forgetting import Erasure
from cli.options import Context, Project
from cli.people import People
from contract import keys, names


def forget(
    context: Context,
    project: Project,
    upload: Annotated[
        str | None,
        typer.Option(metavar="KEY[@VERSION]", help="An object of the data bucket; of a manifest, its whole batch."),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A CSV file of people: key columns, and a line for each.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="One person's key column; all that are given hold.")
    ] = None,
    retrain: Annotated[bool, typer.Option(help="Start a run of what is left of the newest upload.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase; without it, what would go is shown.")] = False,
) -> None:
    """Erase an upload or people's rows: every version, copy, dataset, quarantined row, captured request and answer."""
    if sum(map(bool, (upload, rows, where))) != 1:
        raise BadArgument("forget takes one of --upload, --rows and --where.", "See: tandem forget --help")
    if retrain and upload:
        raise BadArgument("--retrain needs rows that are left.", "Submit another upload instead.")
    scope = Scope.of(context.account, *split_project(project))
    people = None if upload else People.of(_people(rows, where or []), _salt(scope))
    plan = erasing_rows.of_people(scope, people) if people else _of_upload(scope, str(upload))
    forgetting.check(scope, plan)
    made = scope.trained(plan.runs)
    what, digest = (forgetting.ROWS, people.digest) if people else (forgetting.UPLOAD, _digest(scope, str(upload)))
    began, run = None, ""
    if yes and plan.versions:
        began = Erasure.begin(scope, what, digest)
        forgetting.carry_out(scope, plan, began, people, context.out.say)
        counts = ", ".join(f"{count} {kind}" for kind, count in plan.counts.items())
        told = {"tenant": scope.tenant, "project": scope.project, "what": f"erasure {began.id} of {what}: {counts}"}
        audit.tell(context.account, names.EVENT_DATA_FORGOTTEN, told)
        run = _retrain(scope, plan) if retrain else ""
    erased = began.id if began else None
    document = {"erased": erased, "counts": plan.counts, "rows": len(plan.rows), "runs": sorted(plan.runs)}
    context.out.document({**document, "versions": made, "unsearched": plan.unsearched, "retrained": run or None})
    _show(context, project, plan, made, began, run)


def _people(file: Path | None, where: list[str]) -> list[dict[str, str]]:
    if file is not None:
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                return list(csv.DictReader(lines))
        except (OSError, UnicodeError) as error:
            raise BadArgument(f"--rows: {file} cannot be read: {error}") from error
    pairs = [each.partition("=") for each in where]
    if bad := [
        each for each, (name, equals, value) in zip(where, pairs, strict=True) if not (name and equals and value)
    ]:
        raise BadArgument(f"--where {bad[0]!r} is no COLUMN=VALUE.", "For example: --where email=ada@example.org")
    return [{name: value for name, _, value in pairs}]


def _of_upload(scope: Scope, upload: str) -> Plan:
    """Plan to forget an object, named as in the bucket, as s3:// address, or as in the inbox."""
    name, _, version = upload.partition("@")
    key = name.removeprefix(f"s3://{scope.data}/")
    if not key.startswith(scope.folder):
        key = keys.inbox(scope.tenant, scope.project) + key
    return erasure.of_upload(scope, key, version or None)


def _salt(scope: Scope) -> bytes:
    """Return the tenant's salt; there is none before the tenant's first run."""
    found = list(versions.of(scope.account, scope.data, keys.salt(scope.tenant)))
    return versions.read(scope.account, next(each for each in found if each.is_latest)) if found else b""


def _digest(scope: Scope, upload: str) -> str:
    return People.of([{"upload": upload}], _salt(scope)).digest


def _retrain(scope: Scope, plan: Plan) -> str:
    """Start a run of what is left of the upload that the newest run was made of; return its id."""
    places = {(each.source.key, each.source.version_id): each.to for each in plan.rewrites if each.kind == UPLOADS}
    newest = max(plan.runs, key=lambda run: str(scope.runs[run]["started"]), default="")
    if not newest:
        return ""
    row = scope.runs[newest]
    key = str(row["upload"]).removeprefix(f"s3://{scope.data}/")
    left = places.get((key, str(row.get("version_id"))), key)
    asked = {"tenant": scope.tenant, "project": scope.project, "upload": f"s3://{scope.data}/{left}"}
    name = f"{scope.project[:9].rstrip('-')}-{secrets.token_hex(5)}"
    machine = scope.account.installation.pipeline_arn
    scope.account.client("stepfunctions").start_execution(stateMachineArn=machine, name=name, input=json.dumps(asked))
    return name


def _show(context: Context, project: str, plan: Plan, made: list[int], began: Erasure | None, run: str) -> None:
    out = context.out
    if plan.counts:
        out.show(render.table(("what", "versions of objects"), ((kind, str(n)) for kind, n in plan.counts.items())))
    if plan.unsearched:
        out.show(f"Not looked through, being no tables or without these columns: {_some(plan.unsearched)}.")
    if not plan.versions:
        out.show(f"Nothing of that is left in {project}.")
        return
    if made:
        numbers = ", ".join(map(str, made))
        out.show(f"Learned from it: version {numbers} of {project}. A model keeps what it learned; train a new one.")
    if began is None:
        out.show("Nothing is erased yet: add --yes.")
        return
    out.show(
        f"Erased; the ledger has it as erasure {began.id}." + (f" Run {run} trains on what is left." if run else "")
    )


def _some(found: list[str]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more
