"""What an hour of an instance type costs: a dated snapshot of AWS's public price list."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import InvalidConfig, nearest


@dataclass(frozen=True, kw_only=True)
class Prices:
    """On-demand prices in US dollars an hour (serverless and Lambda: a GB of memory for a second), and their date.

    ``fees`` are dollars for one request to Lambda, API Gateway or S3, and for a GB that goes into or comes out of an
    endpoint (``hosting_gb``).
    """

    date: str
    region: str
    source: str
    training: Mapping[str, float]
    processing: Mapping[str, float]
    hosting: Mapping[str, float]
    transform: Mapping[str, float]
    serverless_gb_second: float
    lambda_gb_second: float
    fees: Mapping[str, float]
    fees_source: str

    def hourly(self, use: str, instance: str, path: str) -> float:
        """Return dollars an hour of one instance.

        Raises:
            InvalidConfig: at ``path``, for a type that the snapshot has no price of.
        """
        table: Mapping[str, float] = getattr(self, use)
        if instance not in table:
            raise InvalidConfig(path, instance, "one of " + ", ".join(table), nearest(instance, table))
        return table[instance]


@functools.cache
def load_prices() -> Prices:
    """Return the snapshot in prices.json."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text())
    return Prices(**data)
