"""Brings lost rows of the ledger and lost versions of the registry back.

AWS restores a table beside the one that is there, and no registry at all. So rows are copied out of the table that was
restored, where they are missing; and versions are registered again from what `Register model` kept of each, below its
run. SageMaker gives a version the next number of its group: where the group is gone too, they are the numbers that they
were. Where not, the rows follow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

from cli import ledger as runs
from cli.aws import Account, error_code
from cli.errors import NotFound
from contract import keys, ledger, names, packages
from contract.run import Outcome

Row = dict[str, Any]
PASSING = (ledger.LEASE,)
"""Rows that are not brought back: whose lease it was has ended."""
SAID_GOOD = (Outcome.DEPLOYED.value, Outcome.REGISTERED.value)


@dataclass(kw_only=True)
class Restored:
    """What was brought back."""

    rows: int = 0
    versions: list[str] = field(default_factory=list)  # ARNs
    renumbered: dict[str, str] = field(default_factory=dict)  # old ARN to new
    lost: list[str] = field(default_factory=list)  # ARNs of which nothing was kept


def copy_rows(account: Account, table: str, project: str | None) -> int:
    """Copy what is missing in the ledger from another table; return how many rows that were.

    Args:
        account: where.
        table: that AWS restored, or any other with rows of a ledger.
        project: only this project's rows; None for all.

    Raises:
        NotFound: when there is no such table.
    """
    return sum(_add(account, row) for row in _rows(account, table) if _is_wanted(row, project))


def _is_wanted(row: Row, project: str | None) -> bool:
    if row["sk"] in PASSING:
        return False
    return project is None or project == row.get("project") or row["pk"] == f"{ledger.PROJECT}{project}"


def _add(account: Account, row: Row) -> bool:
    """Write a row unless there is one already, which is newer."""
    try:
        account.table().put_item(Item=row, ConditionExpression=Attr("pk").not_exists())
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _rows(account: Account, table: str) -> Iterator[Row]:
    try:
        yield from account.rows("scan", table=table)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        fix = "AWS restores one: aws dynamodb restore-table-to-point-in-time, or restore-table-from-backup."
        raise NotFound(f"There is no table {table!r}.", fix) from error


def register_again(account: Account, project: str | None) -> Restored:
    """Register the versions again that runs have made and the registry lacks, the oldest first."""
    done = Restored()
    for row in sorted(_registered(account, project), key=lambda row: (row["project"], row["version"])):
        if not _exists(account, row["package_arn"]):
            _register(account, row, done)
    for row in _champions(account, project) if done.versions else ():
        _follow(account, row, done.renumbered)
        _set_stages(account, {**row, **_renumbered(row, done.renumbered)}, done.versions)
    return done


def _registered(account: Account, project: str | None) -> Iterator[Row]:
    for row in _rows(account, account.installation.ledger_table):
        if row["sk"] == ledger.RUN and row.get("package_arn") and project in (None, row["project"]):
            yield row


def _champions(account: Account, project: str | None) -> Iterator[Row]:
    for row in _rows(account, account.installation.ledger_table):
        if row["sk"] == ledger.CHAMPION and project in (None, "/".join(ledger.project_of(row["pk"]))):
            yield row


def _exists(account: Account, arn: str) -> bool:
    try:
        account.client("sagemaker").describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return False
    return True


def _register(account: Account, row: Row, done: Restored) -> None:
    tenant, _, project = row["project"].partition("/")
    kept = runs.read(account, keys.run_prefix(tenant, project, row["run"]) + keys.PACKAGE)
    if kept is None:
        done.lost.append(row["package_arn"])
        return
    asked = json.loads(kept)
    if row.get("outcome") in SAID_GOOD:  # it was deployed, so a person who was asked has approved it
        asked["ModelApprovalStatus"] = packages.APPROVED
    if row.get("outcome") == Outcome.DEPLOYED:
        asked["ModelLifeCycle"] = packages.ARCHIVED  # that in service now gets its stage back below
    sagemaker = account.client("sagemaker")
    _make_group(sagemaker, packages.group(tenant, project))
    arn = sagemaker.create_model_package(**asked)["ModelPackageArn"]
    done.versions.append(arn)
    if arn != row["package_arn"]:
        done.renumbered[row["package_arn"]] = arn
        _follow(account, row, done.renumbered)


def _make_group(sagemaker: Any, asked: Mapping[str, Any]) -> None:
    try:
        sagemaker.create_model_package_group(**asked)
    except ClientError as error:
        if "already exists" not in str(error):
            raise


def _renumbered(row: Row, renumbered: Mapping[str, str]) -> Row:
    """Return the attributes of a row that another number of its version changes."""
    changed = _numbered(row, renumbered)
    if challenger := row.get("challenger"):
        changed["challenger"] = {**challenger, **_numbered(challenger, renumbered)}
    return changed


def _numbered(row: Row, renumbered: Mapping[str, str]) -> Row:
    arn = renumbered.get(row["package_arn"])
    return {"package_arn": arn, "version": packages.version(arn)} if arn else {}


def _follow(account: Account, row: Row, renumbered: Mapping[str, str]) -> None:
    """Have a row name the versions that it named before."""
    if changed := _renumbered(row, renumbered):
        account.table().put_item(
            Item={**row, **changed}, ConditionExpression=Attr("package_arn").eq(row["package_arn"])
        )


def _set_stages(account: Account, champion: Row, versions: list[str]) -> None:
    """Give what is in service, or beside that in an A/B test, its stage back."""
    serving = {champion["package_arn"]: packages.PRODUCTION}
    if challenger := champion.get("challenger"):
        serving[challenger["package_arn"]] = packages.STAGING
    group = names.model_group(*ledger.project_of(champion["pk"]))
    for arn in versions:
        if f":model-package/{group}/" in arn and arn in serving:
            account.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelLifeCycle=serving[arn])
