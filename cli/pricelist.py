"""AWS's Price List API: what an hour of each instance type costs now, and the snapshot that is made of it.

The API is at two places in the world, one of them us-east-1; its answers hold a product a text of JSON
(https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import boto3

from cli.children import STARTS_FROM

SNAPSHOT = STARTS_FROM / "contract" / "prices.json"
API_REGION = "us-east-1"
USES = {
    "training": "training",
    "processing": "processing",
    "hosting": "hosting",
    "batchtransform": "transform",
}
"""SageMaker's components, written small and without spaces, and the snapshot's tables of them."""
Rates = dict[str, dict[str, float]]


def products(client: Any, region: str) -> Iterator[str]:
    """Yield SageMaker's products in a region, each a text of JSON."""
    here = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}]
    pages = client.get_paginator("get_products").paginate(
        ServiceCode="AmazonSageMaker", FormatVersion="aws_v1", Filters=here
    )
    for page in pages:
        yield from page["PriceList"]


def client(profile: str | None) -> Any:
    """Return a client of the Price List API."""
    return boto3.Session(profile_name=profile).client("pricing", region_name=API_REGION)


def rates(found: Iterable[str]) -> Rates:
    """Return on-demand rates of instances, US dollars an hour by use and type; the dearest where there are several."""
    by_use: Rates = {use: {} for use in USES.values()}
    for text in found:
        product = json.loads(text)
        attributes = product["product"]["attributes"]
        component = attributes.get("component") or attributes.get("platoinstancetype") or ""
        use = USES.get(component.replace(" ", "").lower())
        name = attributes.get("instanceName", "")
        if use and name.startswith("ml."):
            for usd in _hourly(product):
                by_use[use][name] = max(usd, by_use[use].get(name, 0.0))
    return by_use


def _hourly(product: Mapping[str, Any]) -> Iterator[float]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            usd = float(dimension["pricePerUnit"].get("USD", 0))
            if dimension["unit"].lower() in ("hrs", "hour", "hours") and usd > 0:
                yield usd


def refreshed(
    snapshot: Mapping[str, Any], found: Rates, *, region: str, today: date
) -> tuple[dict[str, Any], list[str]]:
    """Return a snapshot with today's rates of the types that it has, and the names of those that were not found.

    Raises:
        ValueError: when none was found, so that no snapshot gets a new date without new rates.
    """
    tables = {use: {name: found[use].get(name, usd) for name, usd in snapshot[use].items()} for use in USES.values()}
    missing = [f"{use} {name}" for use in USES.values() for name in snapshot[use] if name not in found[use]]
    if len(missing) == sum(map(len, tables.values())):
        raise ValueError(f"the Price List API told the price of no instance type that is offered here, for {region}")
    kept = f"; not found, and as before: {', '.join(missing)}" if missing else ""
    source = f"AWS Price List API, GetProducts of AmazonSageMaker, read on {today.isoformat()}{kept}"
    return {**snapshot, "date": today.isoformat(), "region": region, "source": source, **tables}, missing


def write(snapshot: Mapping[str, Any], path: Path) -> None:
    """Write a snapshot, a table on each line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in snapshot.items())
    path.write_text(f"{{\n{lines}\n}}\n")
