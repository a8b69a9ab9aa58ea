"""Runs, champions and model versions, as the ledger and the registry have them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from cli.aws import Account, error_code
from cli.errors import NotFound
from contract import keys, ledger, names, packages


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run's row; fields that are not known yet are None."""

    run: str
    tenant: str
    project: str
    status: str
    outcome: str | None
    reasons: list[str]
    started: str
    ended: str | None
    recipe: str | None
    usd: float | None
    execution_arn: str
    forgotten: str | None  # the erasure that took its rows

    @property
    def prefix(self) -> str:
        """Prefix of everything the run wrote, in the artifacts bucket."""
        return keys.run_prefix(self.tenant, self.project, self.run)


def _row(item: dict[str, Any]) -> RunRow:
    tenant, _, project = str(item.get("project", "")).partition("/")  # absent when the input named none
    return RunRow(
        run=ledger.run_of(item["pk"]),
        tenant=tenant,
        project=project,
        status=item.get("status") or "",
        outcome=item.get("outcome"),
        reasons=list(item.get("reasons") or []),
        started=item.get("started") or "",
        ended=item.get("ended"),
        recipe=item.get("recipe"),
        usd=float(item["usd"]) if item.get("usd") is not None else None,
        execution_arn=item.get("execution_arn") or "",
        forgotten=item.get("forgotten"),
    )


def find_run(account: Account, run: str) -> RunRow | None:
    """Return a run's row; None when the ledger has none."""
    item = account.table().get_item(Key=ledger.run_key(run), ConsistentRead=True).get("Item")
    return _row(item) if item else None


def get_run(account: Account, run: str) -> RunRow:
    """Return a run's row.

    Raises:
        NotFound: when there is none.
    """
    row = find_run(account, run)
    if row is None:
        raise NotFound(f"There is no run {run!r}.", "`tandem runs` lists them.")
    return row


def project_runs(account: Account, tenant: str, project: str, limit: int) -> list[RunRow]:
    """Return a project's runs, newest first."""
    found = account.table().query(
        IndexName=ledger.BY_PROJECT,
        KeyConditionExpression=Key("project").eq(f"{tenant}/{project}"),
        ScanIndexForward=False,
        Limit=limit,
    )
    return [_row(item) for item in found["Items"]]


def recent_runs(account: Account, limit: int) -> list[RunRow]:
    """Return the newest runs of all projects: those of the pipeline's newest executions."""
    answer = account.client("stepfunctions").list_executions(
        stateMachineArn=account.installation.pipeline_arn, maxResults=limit
    )
    rows = (find_run(account, names.run_for_execution(item["name"])) for item in answer["executions"])
    return [row for row in rows if row is not None]


def champion(account: Account, tenant: str, project: str) -> dict[str, Any] | None:
    """Return the row of the version in service; None when there is none."""
    item = account.table().get_item(Key=ledger.champion_key(tenant, project), ConsistentRead=True).get("Item")
    return dict(item) if item else None


def versions(account: Account, tenant: str, project: str) -> list[dict[str, Any]]:
    """Return a project's model packages as DescribeModelPackage does, newest first."""
    group = names.model_group(tenant, project)
    try:
        listed = list(
            account.pages(
                "sagemaker", "list_model_packages", "ModelPackageSummaryList",
                ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending",
            )
        )  # fmt: skip
    except ClientError as error:
        if "does not exist" in str(error) or error_code(error) == "ResourceNotFound":
            return []
        raise
    describe = account.client("sagemaker").describe_model_package
    found = [describe(ModelPackageName=item["ModelPackageArn"]) for item in listed]
    return sorted(found, key=lambda package: packages.version(package["ModelPackageArn"]), reverse=True)


def get_version(account: Account, tenant: str, project: str, version: int) -> dict[str, Any]:
    """Return one of a project's model packages.

    Raises:
        NotFound: with the versions that there are.
    """
    found = {packages.version(package["ModelPackageArn"]): package for package in versions(account, tenant, project)}
    if version not in found:
        there = ", ".join(str(number) for number in sorted(found)) or "none"
        raise NotFound(f"{tenant}/{project} has no version {version}.", f"Versions there are: {there}.")
    return found[version]


def archive(account: Account, tenant: str, project: str, version: int) -> tuple[bytes, bytes]:
    """Return a version's archive and its golden samples.

    Raises:
        NotFound: with the versions that there are.
    """
    package = get_version(account, tenant, project, version)
    model = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    golden = package["CustomerMetadataProperties"]["golden"]
    model_archive, samples = (
        account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        for bucket, key in map(keys.parse_uri, (model, golden))
    )
    return model_archive, samples


def run_document(account: Account, row: RunRow) -> dict[str, Any] | None:
    """Return run.json of a settled run; None while there is none."""
    body = read(account, row.prefix + keys.RUN_DOCUMENT)
    return json.loads(body) if body is not None else None


def read(account: Account, key: str) -> bytes | None:
    """Return an object of the artifacts bucket; None when there is none."""
    try:
        answer = account.client("s3").get_object(Bucket=account.installation.artifacts_bucket, Key=key)
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return None
        raise
    body: bytes = answer["Body"].read()
    return body
