"""API keys of the public API: each belongs to one consumer of one tenant, and to a usage plan with its limits.

API Gateway holds the key and enforces the limits; the ledger says whose it is, and without its row a key
opens nothing. Keys with the same limits share a plan: an account may have only 300.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.aws import Account
from cli.errors import BadArgument, NotDeployed, NotFound
from contract import ledger, names

TAGS = {names.TAG_APP: names.APP}
SEPARATOR = "--"
LARGEST_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a key may use: ``rate`` requests a second, ``burst`` at once, ``quota`` a ``period`` (0: any number)."""

    rate: float
    burst: int
    quota: int
    period: str

    @property
    def name(self) -> str:
        """The name of the plan with these limits."""
        quota = f"{self.quota} a {self.period.lower()}" if self.quota else "no quota"
        return f"{names.APP} {self.rate:g} a second, {self.burst} at once, {quota}"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as API Gateway lists it, without its value."""

    id: str
    tenant: str
    consumer: str
    created: str
    enabled: bool
    limits: str


def add(account: Account, tenant: str, consumer: str, limits: Limits) -> str:
    """Make a key; return its value, which nothing shows again.

    Raises:
        BadArgument: when the consumer has a key.
    """
    api, gateway = api_id(account), account.client("apigateway")
    if _find(account, tenant, consumer):
        raise BadArgument(
            f"{consumer} of {tenant} has a key already.",
            "Give the new one another name and remove this one when nobody uses it any more, or remove it first.",
        )
    plan = _plan(account, api, limits)
    made = gateway.create_api_key(name=f"{tenant}{SEPARATOR}{consumer}", enabled=True, tags={**TAGS})
    try:
        gateway.create_usage_plan_key(usagePlanId=plan, keyId=made["id"], keyType="API_KEY")
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        row = {"tenant": tenant, "consumer": consumer, "created": created}
        account.table().put_item(Item={**ledger.api_key_key(made["id"]), **row})
    except Exception:
        gateway.delete_api_key(apiKey=made["id"])
        raise
    return str(made["value"])


def find_all(account: Account, tenant: str) -> list[Key]:
    """Return a tenant's keys by the names of their consumers."""
    return sorted(
        (_key(account, item) for item in _items(account, f"{tenant}{SEPARATOR}")), key=lambda key: key.consumer
    )


def remove(account: Account, tenant: str, consumer: str) -> None:
    """Remove a consumer's key; from then on it opens nothing.

    Raises:
        NotFound: when there is none.
    """
    found = _find(account, tenant, consumer)
    if found is None:
        raise NotFound(f"{consumer} of {tenant} has no key.", f"`tandem key list {tenant}` lists the keys.")
    forget(account, found["id"])


def forget(account: Account, key_id: str) -> None:
    """Delete a key: its row, its place in its plan, itself; and a plan that no key has any more."""
    gateway = account.client("apigateway")
    if table := account.outputs.get(names.OUTPUT_LEDGER_TABLE):
        row = {name: {"S": value} for name, value in ledger.api_key_key(key_id).items()}
        account.client("dynamodb").delete_item(TableName=table, Key=row)
    for plan in account.pages("apigateway", "get_usage_plans", "items", keyId=key_id):
        gateway.delete_usage_plan_key(usagePlanId=plan["id"], keyId=key_id)
        if not list(account.pages("apigateway", "get_usage_plan_keys", "items", usagePlanId=plan["id"])):
            delete_plan(account, plan)
    gateway.delete_api_key(apiKey=key_id)


def delete_plan(account: Account, plan: dict[str, Any]) -> None:
    """Delete a usage plan; it must leave its stages first."""
    stages = [f"{stage['apiId']}:{stage['stage']}" for stage in plan.get("apiStages", [])]
    gateway = account.client("apigateway")
    if stages:
        patches = [{"op": "remove", "path": "/apiStages", "value": stage} for stage in stages]
        gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=patches)
    gateway.delete_usage_plan(usagePlanId=plan["id"])


def api_id(account: Account) -> str:
    """Return the id of the deployed API.

    Raises:
        NotDeployed: when there is none.
    """
    if names.OUTPUT_API_ID not in account.outputs:
        _ = account.installation  # says so when nothing at all is deployed
        raise NotDeployed("The public API is left out here.", "Deploy it with the CDK context tandem:api=true.")
    return account.outputs[names.OUTPUT_API_ID]


def ours(account: Account, operation: str) -> Iterator[dict[str, Any]]:
    """Yield the keys (``get_api_keys``) or plans (``get_usage_plans``) that carry our tag."""
    for item in account.pages("apigateway", operation, "items", limit=LARGEST_PAGE):
        if (item.get("tags") or {}).get(names.TAG_APP) == names.APP:
            yield item


def _items(account: Account, prefix: str) -> Iterator[dict[str, Any]]:
    for item in account.pages("apigateway", "get_api_keys", "items", nameQuery=prefix, limit=LARGEST_PAGE):
        if item["name"].startswith(prefix):
            yield item


def _find(account: Account, tenant: str, consumer: str) -> dict[str, Any] | None:
    name = f"{tenant}{SEPARATOR}{consumer}"
    return next((item for item in _items(account, name) if item["name"] == name), None)


def _key(account: Account, item: dict[str, Any]) -> Key:
    tenant, _, consumer = item["name"].partition(SEPARATOR)
    plans = account.pages("apigateway", "get_usage_plans", "items", keyId=item["id"])
    limits = ", ".join(plan["name"].removeprefix(f"{names.APP} ") for plan in plans)
    created = item["createdDate"].isoformat(timespec="seconds")
    return Key(
        id=item["id"],
        tenant=tenant,
        consumer=consumer,
        created=created,
        enabled=bool(item.get("enabled")),
        limits=limits or "no plan, so it opens nothing",
    )


def _plan(account: Account, api: str, limits: Limits) -> str:
    """Return the id of the plan with these limits, made if there is none."""
    for plan in ours(account, "get_usage_plans"):
        if plan["name"] == limits.name:
            return str(plan["id"])
    quota = {"quota": {"limit": limits.quota, "period": limits.period}} if limits.quota else {}
    made = account.client("apigateway").create_usage_plan(
        name=limits.name,
        apiStages=[{"apiId": api, "stage": names.API_STAGE}],
        throttle={"rateLimit": limits.rate, "burstLimit": limits.burst},
        tags={**TAGS},
        **quota,
    )
    return str(made["id"])
