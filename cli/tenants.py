"""Tenants: each has a stack with its roles and its key, and a row in the ledger without which its runs are refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from cli import removal, stacks
from cli.aws import Account
from cli.errors import CommandError, Exit, NotDeployed
from cli.removal import Item
from contract import batch, keys, ledger, names
from contract.run import RUNNING


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant that was added.

    Attributes:
        tenant: its name.
        added: when, ISO 8601; empty while its stack is all there is.
        stack: status of its stack; empty where there is none.
        key: ARN of its key.
        policy: ARN of the policy for its people.
    """

    tenant: str
    added: str
    stack: str
    key: str = ""
    policy: str = ""


def add(account: Account, tenant: str) -> Tenant:
    """Give a tenant its stack and its row; one that is there is brought up to date.

    Raises:
        NotDeployed: when what is deployed publishes no template of tenants.
    """
    _ = account.installation  # says so when nothing is deployed
    template = account.outputs.get(names.OUTPUT_TENANT_TEMPLATE)
    if template is None:
        raise NotDeployed("What is deployed is older than `tandem tenant`.", "Deploy this version: tandem deploy")
    stack = names.tenant_stack(tenant)
    existing = stacks.PREVIOUS if account.stack_status(stack) in stacks.DONE else _key(account, tenant)
    parameters = {
        names.PARAMETER_TENANT: tenant,
        names.PARAMETER_EXISTING_KEY: existing,
        **{name: account.outputs[name] for name in names.TENANT_PARAMETERS},
    }
    made = stacks.apply(account, stack, template, parameters, {names.TAG_APP: names.APP, names.TAG_TENANT: tenant})
    row = {**ledger.tenant_key(tenant), "added": datetime.now(UTC).isoformat(timespec="seconds")}
    if not _row(account, tenant):
        account.table().put_item(Item=row)
    return _tenant(account, tenant, made)


def _key(account: Account, tenant: str) -> str:
    """Return the ARN of the key that a tenant has from before; empty when it has none."""
    try:
        found = account.client("kms").describe_key(KeyId=names.key_alias(tenant))["KeyMetadata"]
    except ClientError as error:
        if "NotFound" not in str(error):
            raise
        return ""
    if found["KeyState"] != "Enabled":
        fix = f"Nothing that it encrypted opens without it: aws kms cancel-key-deletion --key-id {found['KeyId']}"
        raise CommandError(f"The key of {tenant}, {found['KeyId']}, is {found['KeyState']}.", fix)
    return str(found["Arn"])


def find_all(account: Account) -> list[Tenant]:
    """Return the tenants that have a stack, by name."""
    found = (each["StackName"] for each in account.pages("cloudformation", "describe_stacks", "Stacks"))
    tenants = sorted(name.removeprefix(names.TENANT_STACK) for name in found if name.startswith(names.TENANT_STACK))
    return [_tenant(account, tenant, stacks.outputs(account, names.tenant_stack(tenant))) for tenant in tenants]


def _tenant(account: Account, tenant: str, outputs: dict[str, str]) -> Tenant:
    return Tenant(
        tenant=tenant,
        added=str(_row(account, tenant).get("added", "")),
        stack=account.stack_status(names.tenant_stack(tenant)) or "",
        key=outputs.get(names.OUTPUT_TENANT_KEY, ""),
        policy=outputs.get(names.OUTPUT_PEOPLE_POLICY, ""),
    )


def _row(account: Account, tenant: str) -> dict[str, Any]:
    return dict(account.table().get_item(Key=ledger.tenant_key(tenant), ConsistentRead=True).get("Item") or {})


def require(account: Account, tenant: str) -> None:
    """Refuse a tenant that was not added, before anything of it is uploaded.

    Raises:
        CommandError: with the command that adds it.
    """
    if not _row(account, tenant):
        refused = CommandError(f"There is no tenant {tenant!r}.", f"Add it: tandem tenant add {tenant}")
        refused.code = Exit.REFUSED
        raise refused


def hand_in(account: Account, tenant: str) -> list[str]:
    """Have the uploads that came before their tenant start their runs; return the runs. Those that have one keep it."""
    bucket, function = account.installation.data_bucket, account.outputs[names.OUTPUT_INTAKE_FUNCTION]
    found = []
    for each in account.pages("s3", "list_object_versions", "Versions", Bucket=bucket, Prefix=f"{tenant}/"):
        inbox = keys.parse_inbox(each["Key"])
        if inbox is None or not each["IsLatest"] or not keys.starts_run(inbox[2]):
            continue
        version = ledger.upload_key(bucket, each["Key"], each["VersionId"])
        if "Item" not in account.table().get_item(Key=version, ConsistentRead=True):
            detail = {"bucket": {"name": bucket}, "object": {"key": each["Key"], "version-id": each["VersionId"]}}
            event = json.dumps({"detail": detail}).encode()
            answer = account.client("lambda").invoke(FunctionName=function, Payload=event)
            found.append(str(json.loads(answer["Payload"].read())["run"]))
    return found


def uses(account: Account, tenant: str) -> list[Item]:
    """Return what goes on and what serves in a tenant's name."""
    going_on = [item for project in projects(account, tenant) for item in _going_on(account, tenant, project)]
    return [*going_on, *serving(account, tenant)]


def projects(account: Account, tenant: str) -> list[str]:
    """Return the projects that have something in a bucket."""
    buckets = (account.installation.data_bucket, account.installation.artifacts_bucket)
    found = {
        each["Prefix"].split("/")[1]
        for bucket in buckets
        for each in account.pages(
            "s3", "list_objects_v2", "CommonPrefixes", Bucket=bucket, Prefix=f"{tenant}/", Delimiter="/"
        )
    }
    return sorted(found)


def _going_on(account: Account, tenant: str, project: str) -> Iterator[Item]:
    """Yield the executions of a project's runs, batches and deployments that have not ended."""
    by_project = Key("project").eq(f"{tenant}/{project}")
    for row in _query(account, by_project, Attr("status").eq(RUNNING), IndexName=ledger.BY_PROJECT):
        if arn := row.get("execution_arn"):
            yield Item(kind="execution", name=row["pk"].removeprefix("run#"), arn=arn)
    own = Key("pk").eq(ledger.project_pk(tenant, project))
    for row in _query(account, own & Key("sk").begins_with(f"{ledger.BATCH}#"), Attr("status").eq(batch.RUNNING)):
        yield Item(kind="execution", name=row["sk"], arn=row["execution_arn"])
    for row in _query(account, own & Key("sk").eq(ledger.LEASE), Attr("expires").gt(int(time.time()))):
        yield Item(kind="execution", name=f"of {tenant}/{project}'s deployment", arn=row["holder"])


def _query(account: Account, condition: Any, only: Any, **options: Any) -> Iterator[dict[str, Any]]:
    table = account.table()
    more: dict[str, Any] = {}
    while True:
        page = table.query(KeyConditionExpression=condition, FilterExpression=only, **options, **more)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def serving(account: Account, tenant: str) -> list[Item]:
    """Return what serves a tenant's models, in the order in which it can be removed."""
    finders = (removal.find_scaling, removal.find_endpoints, removal.find_functions, removal.find_alarms)
    return [item for find in finders for item in find(account) if _is_of(item, tenant)]


def _is_of(item: Item, tenant: str) -> bool:
    return item.name.removeprefix("endpoint/").startswith(f"{tenant}--")


def remove(account: Account, tenant: str, in_use: list[Item], say: Callable[[str], None]) -> None:
    """Take a tenant's row, so that nothing of it begins any more; then what it uses, its champions and its stack.

    Its data, its models' versions and its key stay.
    """
    account.table().delete_item(Key=ledger.tenant_key(tenant))
    removal.remove(account, in_use, say)
    for project in projects(account, tenant):
        account.table().delete_item(Key=ledger.champion_key(tenant, project))
    if account.stack_status(names.tenant_stack(tenant)):
        stacks.delete(account, names.tenant_stack(tenant))
