"""Forgets: what was found goes, for good, and the ledger tells that it did. Cut off half-way, the next call goes on."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.conditions import Key

from cli import erasing_rows, versions
from cli.erasure import CAPTURED, GOLDENS, REPORTS, Plan, Rewrite, Scope
from cli.errors import CommandError
from cli.people import People
from contract import keys, ledger
from contract.golden import Golden
from contract.run import RUNNING

UPLOAD, ROWS = "upload", "rows"


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """One erasure: ``digest`` tells what is forgotten from other things, and nobody without the salt what it is."""

    id: str
    what: str
    digest: str
    by: str
    started: str

    @classmethod
    def begin(cls, scope: Scope, what: str, digest: str) -> Erasure:
        """Return the erasure of this that was cut off, or a new one."""
        prefix = ledger.erasure_key(scope.tenant, scope.project, "")
        condition = Key("pk").eq(prefix["pk"]) & Key("sk").begins_with(prefix["sk"])
        for row in scope.account.rows("query", KeyConditionExpression=condition, ConsistentRead=True):
            if row["digest"] == digest and not row.get("ended"):
                return cls(**{name: row[name] for name in ("id", "what", "digest", "by", "started")})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        by = scope.account.client("sts").get_caller_identity()["Arn"]
        number = f"{now[:10]}-{secrets.token_hex(4)}"
        return cls(id=number, what=what, digest=digest, by=by, started=now)


def check(scope: Scope, plan: Plan) -> None:
    """Refuse what runs work on or may have copied since it was looked for, and what is locked.

    Raises:
        CommandError: before anything is changed.
    """
    _refuse_running(plan, scope.runs)
    versions.check_locks(scope.account, plan.versions)
    now = scope.runs_now(plan.runs)
    _refuse_running(plan, now)
    known = {run: row.get("resumes") for run, row in scope.runs.items()}
    if begun := sorted(run for run, row in now.items() if run not in known or row.get("resumes") != known[run]):
        raise CommandError(
            f"Runs began or went on while this was looked for, and may have copied it: {', '.join(begun)}.",
            "Nothing is erased. Wait until they have ended, and run it again.",
        )


def _refuse_running(plan: Plan, runs: Mapping[str, Mapping[str, Any]]) -> None:
    if running := [run for run in sorted(plan.runs) if runs[run].get("status") == RUNNING]:
        fix = "Wait until they have ended, or stop their executions."
        raise CommandError(f"Runs work on what is to be forgotten: {', '.join(running)}.", fix)


def carry_out(scope: Scope, plan: Plan, erasure: Erasure, people: People | None, say: Callable[[str], None]) -> None:
    """Do it: say so first, write again what is left of things, delete, say that it is done."""
    told = {
        "runs": sorted(plan.runs), "versions": scope.trained(plan.runs), "counts": plan.counts, "rows": len(plan.rows),
    }  # fmt: skip
    _note(scope, erasure, told)
    for run in sorted(plan.runs):
        _mark(scope, run, erasure)
    for rewrite in plan.rewrites:
        say(f"Writing {rewrite.to} again, without that")
        _write_again(scope, plan, rewrite, people)
    say(f"Deleting {len(plan.versions)} versions of objects")
    versions.delete(scope.account, plan.versions)
    for number in plan.predictions:
        scope.account.table().delete_item(Key=ledger.prediction_key(scope.tenant, scope.project, number))
    _note(scope, erasure, {**told, "ended": datetime.now(UTC).isoformat(timespec="seconds")})


def _note(scope: Scope, erasure: Erasure, told: dict[str, Any]) -> None:
    """Write the erasure's row; what an earlier try that was cut off counted stays the beginning of it."""
    key = ledger.erasure_key(scope.tenant, scope.project, erasure.id)
    before = scope.account.table().get_item(Key=key, ConsistentRead=True).get("Item", {})
    runs = sorted({*before.get("runs", ()), *told["runs"]})
    made = sorted({*map(int, before.get("versions", ())), *told["versions"]})
    counted = {**before.get("counts", {}), **told["counts"]}
    scope.account.table().put_item(
        Item={**key, **vars(erasure), **told, "runs": runs, "versions": made, "counts": counted}
    )


def _mark(scope: Scope, run: str, erasure: Erasure) -> None:
    """Have a run's row and its folder say that its rows are gone."""
    told = {"erasure": erasure.id, "date": erasure.started[:10]}
    place = scope.prefix(run) + keys.FORGOTTEN
    scope.account.client("s3").put_object(Bucket=scope.artifacts, Key=place, Body=json.dumps(told).encode())
    scope.account.table().update_item(
        Key=ledger.run_key(run), UpdateExpression="SET forgotten = :id", ExpressionAttributeValues={":id": erasure.id}
    )


def _write_again(scope: Scope, plan: Plan, rewrite: Rewrite, people: People | None) -> None:
    s3, bucket = scope.account.client("s3"), rewrite.source.bucket
    if rewrite.kind == REPORTS:
        document = json.loads(versions.read(scope.account, rewrite.source))
        del document["evaluation"]["pairs"]
        s3.put_object(Bucket=bucket, Key=rewrite.to, Body=json.dumps(document).encode())
        return
    assert people is not None  # of an upload nothing else is left
    if rewrite.kind == CAPTURED:
        lines = versions.read(scope.account, rewrite.source).decode().splitlines()
        body = "\n".join(erasing_rows.without_captured(lines, people)) + "\n"
        s3.put_object(Bucket=bucket, Key=rewrite.to, Body=body.encode())
    elif rewrite.kind == GOLDENS:
        golden = Golden.from_dict(json.loads(versions.read(scope.account, rewrite.source)))
        kept = erasing_rows.without_samples(scope, golden, people, erasing_rows.rows_of(plan, golden.run))
        s3.put_object(Bucket=bucket, Key=rewrite.to, Body=json.dumps(kept.to_dict()).encode())
    else:
        with erasing_rows.sifted(scope, rewrite.source, people) as (_, table):
            s3.upload_file(str(table), bucket, rewrite.to)
