"""Tenants: each has a stack with its roles and its key, and a row in the ledger without which its runs are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from cli import stacks
from cli.aws import Account
from cli.errors import CommandError, Exit, NotDeployed
from contract import keys, ledger, names


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
    stacks.apply(account, stack, template, parameters, {names.TAG_APP: names.APP, names.TAG_TENANT: tenant})
    row = {**ledger.tenant_key(tenant), "added": datetime.now(UTC).isoformat(timespec="seconds")}
    if not _row(account, tenant):
        account.table().put_item(Item=row)
    return next(each for each in find_all(account) if each.tenant == tenant)


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
    found = account.pages("cloudformation", "describe_stacks", "Stacks")
    ours = (stack for stack in found if stack["StackName"].startswith(names.TENANT_STACK))
    return sorted((_tenant(account, stack) for stack in ours), key=lambda each: each.tenant)


def _tenant(account: Account, stack: dict[str, Any]) -> Tenant:
    tenant = stack["StackName"].removeprefix(names.TENANT_STACK)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    return Tenant(
        tenant=tenant,
        added=str(_row(account, tenant).get("added", "")),
        stack=stack["StackStatus"],
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
        known = account.table().get_item(Key=version, ConsistentRead=True).get("Item") or {}
        if not known.get("execution_arn"):  # a row without it is of an intake that died
            detail = {"bucket": {"name": bucket}, "object": {"key": each["Key"], "version-id": each["VersionId"]}}
            found.append(_hand_in(account, function, {"detail": detail}))
    return found


def _hand_in(account: Account, function: str, event: dict[str, Any]) -> str:
    answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    document = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        told = f"{document.get('errorType')}: {document.get('errorMessage')}"
        raise CommandError(f"{event['detail']['object']['key']} was not taken in. {told}", "Repeat the command.")
    return str(document["run"])
