"""What a tenant spends: budgets, months, charges of runs, and machines that serve."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from cli import ledger as rows
from cli.aws import Account
from contract import ledger, names
from contract.ledger import MICROS
from contract.prices import load_prices

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Month:
    """A tenant's month, in US dollars."""

    tenant: str
    month: str
    budget: float
    own: bool  # whether the budget is the tenant's own, or the installation's default
    spent: float
    reserved: float  # by runs in progress

    @property
    def left(self) -> float:
        """What no run has yet."""
        return self.budget - self.spent - self.reserved


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A run's part of a month, in US dollars."""

    run: str
    project: str  # tenant/project
    spent: float
    reserved: float


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A transform job that answered a file, at the price list's rates."""

    job: str
    machines: str
    seconds: float
    usd: float | None  # None for a type without a known price


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """Machines that serve a project's champion, at the price list's rates."""

    endpoint: str
    machines: str
    hourly: float | None  # None where a type has no known price
    since: str  # when the endpoint was made, or the month began
    usd: float | None  # of the month so far, if it had been so many machines since then


def this_month() -> str:
    """Return the month that it is: ``2026-11``."""
    return datetime.now(UTC).strftime("%Y-%m")


def tenants(account: Account) -> list[str]:
    """Return every tenant that has something in the data bucket."""
    bucket = account.installation.data_bucket
    prefixes = account.pages("s3", "list_objects_v2", "CommonPrefixes", Bucket=bucket, Delimiter="/")
    return [each["Prefix"].rstrip("/") for each in prefixes]


def month(account: Account, tenant: str, month: str) -> Month:
    """Return what a tenant may spend in a month, and has."""
    own, sums = _row(account, ledger.budget_key(tenant)), _row(account, ledger.month_key(tenant, month))
    spent, committed = (float(sums.get(name, 0)) / MICROS for name in ("spent", "committed"))
    return Month(
        tenant=tenant,
        month=month,
        budget=float(own["usd"] if own else account.outputs[names.OUTPUT_MONTHLY_USD]),
        own=bool(own),
        spent=spent,
        reserved=committed - spent,
    )


def set_budget(account: Account, tenant: str, usd: float | None) -> None:
    """Give a tenant a budget of its own; None takes it away."""
    key = ledger.budget_key(tenant)
    if usd is None:
        account.table().delete_item(Key=key)
    else:
        account.table().put_item(Item={**key, "usd": f"{usd:.2f}"})


def charges(account: Account, tenant: str, month: str) -> list[Charge]:
    """Return the runs that a tenant is charged for in a month, the dearest first; those that cost nothing are none."""
    prefix = ledger.charge_key(tenant, month, "")
    wanted = Key("pk").eq(prefix["pk"]) & Key("sk").begins_with(prefix["sk"])
    found = (_charge(item, prefix["sk"]) for item in account.rows("query", KeyConditionExpression=wanted))
    charged = [each for each in found if each.spent or each.reserved]
    return sorted(charged, key=lambda each: -(each.spent + each.reserved))


def _charge(item: Row, prefix: str) -> Charge:
    charged, settled = (float(item[name]) / MICROS for name in ("charged", "settled"))
    run = item["sk"].removeprefix(prefix)
    return Charge(run=run, project=item["project"], spent=settled, reserved=charged - settled)


def batches(account: Account, tenant: str, project: str, month: str) -> list[Batch]:
    """Return the transform jobs of a project's batches that began in a month, the newest first."""
    sagemaker, began = account.client("sagemaker"), datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    own = re.compile(rf"{re.escape(tenant)}--{re.escape(project)}--[^-].*")
    listed = account.pages(
        "sagemaker", "list_transform_jobs", "TransformJobSummaries",
        NameContains=f"{tenant}--{project}--", CreationTimeAfter=began,
    )  # fmt: skip
    names = [each["TransformJobName"] for each in listed if own.fullmatch(each["TransformJobName"])]
    jobs = [sagemaker.describe_transform_job(TransformJobName=name) for name in names]
    return [_batch(job) for job in jobs if job["CreationTime"].astimezone(UTC).strftime("%Y-%m") == month]


def _batch(job: Row) -> Batch:
    machines, start = job["TransformResources"], job.get("TransformStartTime")
    end = job.get("TransformEndTime") or datetime.now(UTC)
    seconds = (end - start).total_seconds() if start else 0.0
    hourly = load_prices().transform.get(machines["InstanceType"])
    usd = None if hourly is None else hourly * machines["InstanceCount"] * seconds / 3600
    return Batch(
        job=job["TransformJobName"],
        machines=f"{machines['InstanceCount']} x {machines['InstanceType']}",
        seconds=round(seconds, 3),
        usd=usd,
    )


def hosting(account: Account, tenant: str, project: str, month: str) -> Hosting | None:
    """Return the machines that serve a project's champion now; None where none cost by the hour, as asleep."""
    champion = rows.champion(account, tenant, project) or {}
    endpoint = champion.get("endpoint")
    if not endpoint or ":" in endpoint:  # a function's alias
        return None
    try:
        described = account.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if "Could not find" in str(error):  # asleep
            return None
        raise
    config = account.client("sagemaker").describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    types = {each["VariantName"]: each.get("InstanceType") for each in config["ProductionVariants"]}
    variants = described.get("ProductionVariants", ())  # none yet while the endpoint is being made
    counts = {each["VariantName"]: each.get("CurrentInstanceCount", 0) for each in variants}
    machines = {name: (count, types[name]) for name, count in counts.items() if types.get(name)}
    if not machines:
        return None
    hourly = _hourly(machines.values())
    since = max(described["CreationTime"], datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC))
    hours = max(0.0, (datetime.now(UTC) - since).total_seconds() / 3600)
    return Hosting(
        endpoint=endpoint,
        machines=", ".join(f"{count} x {kind}" for count, kind in machines.values()),
        hourly=hourly,
        since=since.astimezone(UTC).isoformat(timespec="seconds"),
        usd=None if hourly is None else round(hourly * hours, 4),
    )


def _hourly(machines: Iterable[tuple[int, str]]) -> float | None:
    rates = [(count, load_prices().hosting.get(kind)) for count, kind in machines]
    known = [count * rate for count, rate in rates if rate is not None]
    return sum(known) if len(known) == len(rates) else None


def _row(account: Account, key: dict[str, str]) -> Row:
    return dict(account.table().get_item(Key=key, ConsistentRead=True).get("Item") or {})
