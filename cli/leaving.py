"""A tenant leaves: all that goes on, serves or opens doors in its name is removed; its data and its key stay.

Each step looks for what is there now, and the stack, by which `tandem tenant list` knows the tenant, goes last. So a
removal that was cut off is finished by the same command.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from boto3.dynamodb.conditions import Attr, Key

from cli import removal, stacks
from cli.aws import Account
from cli.errors import CommandError
from cli.removal import Item
from contract import batch, ledger, names
from contract.run import RUNNING

SETTLED_SECONDS = 600
"""A stopped run is settled, and a stopped deployment tidied up, in this time."""
_POLL_SECONDS = 1


def uses(account: Account, tenant: str) -> list[Item]:
    """Return what goes on in a tenant's name, what serves its models, and the API keys that open them."""
    return [*_going_on(account, tenant), *_serving(account, tenant)]


def remove(account: Account, tenant: str, say: Callable[[str], None]) -> list[Item]:
    """Remove a tenant: its row first, so that nothing of it begins any more, its stack last; return what it used.

    Raises:
        CommandError: when something of it goes on in spite of that.
    """
    account.table().delete_item(Key=ledger.tenant_key(tenant))
    stopped = _stop(account, tenant, say)
    for project in _projects(account, tenant):  # before what serves them: no hours wake a model any more
        account.table().delete_item(Key=ledger.champion_key(tenant, project))
    serving = _serving(account, tenant)
    people = [item for item in removal.find_people(account) if names.role_path(tenant) in item.arn]
    removal.remove(account, [*serving, *people], say)
    if account.stack_status(names.tenant_stack(tenant)):
        stacks.delete(account, names.tenant_stack(tenant))
    return [*stopped, *serving, *people]


def _stop(account: Account, tenant: str, say: Callable[[str], None]) -> list[Item]:
    """Stop what goes on, and wait for what follows its end: reservations are released, half-made endpoints go."""
    stopped = list(_going_on(account, tenant))
    removal.remove(account, stopped, say)
    deadline = time.monotonic() + SETTLED_SECONDS
    while left := [item.name for item in _going_on(account, tenant)]:
        if time.monotonic() > deadline:
            fix = f"Once more: tandem tenant remove {tenant} --force"
            raise CommandError(f"{', '.join(left)} of {tenant} still goes on.", fix)
        time.sleep(_POLL_SECONDS)
    return stopped


def _projects(account: Account, tenant: str) -> list[str]:
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


def _going_on(account: Account, tenant: str) -> Iterator[Item]:
    """Yield the executions of runs, batches and deployments that have not ended."""
    for project in _projects(account, tenant):
        by_project = Key("project").eq(f"{tenant}/{project}")
        for row in _rows(account, by_project, Attr("status").eq(RUNNING), IndexName=ledger.BY_PROJECT):
            if arn := row.get("execution_arn"):
                yield Item(kind="execution", name=ledger.run_of(row["pk"]), arn=arn)
        own = Key("pk").eq(ledger.project_pk(tenant, project))
        for row in _rows(account, own & Key("sk").begins_with(f"{ledger.BATCH}#"), Attr("status").eq(batch.RUNNING)):
            yield Item(kind="execution", name=row["sk"], arn=row["execution_arn"])
        for row in _rows(account, own & Key("sk").eq(ledger.LEASE), Attr("expires").gt(int(time.time()))):
            yield Item(kind="execution", name=f"of {tenant}/{project}'s deployment", arn=row["holder"])


def _rows(account: Account, key: Any, only: Any, **index: Any) -> Iterator[dict[str, Any]]:
    return account.rows("query", KeyConditionExpression=key, FilterExpression=only, **index)


def _serving(account: Account, tenant: str) -> list[Item]:
    """Return what serves a tenant's models, in the order in which it can be removed, and what opens them."""
    finders = (
        removal.find_scaling, removal.find_endpoints, removal.find_functions, removal.find_alarms, removal.find_keys,
    )  # fmt: skip
    return [item for find in finders for item in find(account, f"{tenant}--")]
