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
    if fresh or row.get("read", 0) < time.time() - FRESH_SECONDS or not wanted <= set(row["asked"]):
        row = _read(wanted | _usual()) or row
    limits = {name: Quota(name=name, **told) for name, told in row["limits"].items()}
    return {name: limits[name] for name in wanted if name in limits}


def _usual() -> set[str]:
    """Return the names that runs are likely to ask for next."""
    prices = load_prices()
    types = {"training": prices.training, "spot": prices.training, "processing": prices.processing}
    return {quotas.name_of(use, each) for use, each_of in types.items() for each in each_of}


def _read(names: set[str]) -> dict[str, Any] | None:
    """Read the quotas and remember them; None when others ask so much that what is remembered has to do."""
    try:
        found = quotas.read(client("service-quotas"), names)
    except ClientError as error:
        if error_code(error) != TOO_MANY or not table.get(ledger.QUOTAS_KEY):
            raise
        logger.warning("Service Quotas is asked too much: quotas are as they were", exc_info=True)
        return None
    limits = {quota.name: {"code": quota.code, "limit": quota.limit} for quota in found.values()}
    row = {"limits": limits, "asked": sorted(names), "read": int(time.time())}
    table.put(ledger.QUOTAS_KEY, row)
    return row
