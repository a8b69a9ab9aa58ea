"""What the account may run at once, as Service Quotas says, remembered in the ledger for some minutes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from contract import ledger, quotas
from contract.prices import load_prices
from contract.quotas import Quota
from functions import table
from functions.shared import client, error_code, logger

FRESH_SECONDS = 600
TOO_MANY = "TooManyRequestsException"


def of(names: Iterable[str], *, fresh: bool = False) -> dict[str, Quota]:
    """Return quotas by name; without those that AWS has none of, which limit nothing.

    ``fresh``: as they are now, and not as they were some minutes ago.
    """
    wanted = set(names)
    row = table.get(ledger.QUOTAS_KEY) or {}
    asked = set(row.get("asked", ()))
    unknown = wanted - asked
    if fresh or unknown or row["read"] < time.time() - FRESH_SECONDS:
        row = _read(wanted | asked | _usual(), remembered=None if unknown else row)
    limits = {name: Quota(name=name, **told) for name, told in row["limits"].items()}
    return {name: limits[name] for name in wanted if name in limits}


def _usual() -> set[str]:
    """Return the names that runs are likely to ask for next."""
    prices = load_prices()
    types = {"training": prices.training, "spot": prices.training, "processing": prices.processing}
    return {quotas.name_of(use, each) for use, each_of in types.items() for each in each_of}


def _read(names: set[str], *, remembered: dict[str, Any] | None) -> dict[str, Any]:
    """Read the quotas into the ledger's row; when others ask too much, what is remembered has to do, if it can."""
    try:
        found = quotas.read(client("service-quotas"), names)
    except ClientError as error:
        if error_code(error) != TOO_MANY or remembered is None:
            raise
        logger.warning("Service Quotas is asked too much: quotas are as they were", exc_info=True)
        return remembered
    limits = {quota.name: {"code": quota.code, "limit": quota.limit} for quota in found.values()}
    row = {"limits": limits, "asked": sorted(names), "read": int(time.time())}
    table.put(ledger.QUOTAS_KEY, row)
    return row
