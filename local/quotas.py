"""Service Quotas of the laptop cloud: how many machines of each type an account may run at once.

Everybody has plenty of everything here. A request for another value is granted at once, also for a smaller one, which
AWS refuses: so anybody can see what an account without GPUs is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from moto.core.exceptions import JsonRESTError

from contract import quotas
from contract.prices import Prices, load_prices

PLENTY = 100
PAGE = 100


class Quotas:
    """The quotas of SageMaker, by code."""

    def __init__(self) -> None:
        names = [quotas.name_of(use, each) for use in quotas.USES for each in _types(use)]
        self._names = {_code(name): name for name in names}
        self._granted: dict[str, float] = {}

    def set(self, name: str, value: float | None) -> None:
        """Grant another value of a quota, by its name; None takes it back."""
        if value is None:
            self._granted.pop(_code(name), None)
        else:
            self._granted[self._known(_code(name))] = value

    def listed(self, asked: Mapping[str, Any], *, defaults: bool = False) -> dict[str, Any]:
        """Answer ListServiceQuotas and ListAWSDefaultServiceQuotas, page by page."""
        _check_service(asked)
        start, size = int(asked.get("NextToken", 0)), int(asked.get("MaxResults", PAGE))
        codes = [code for code in sorted(self._names) if defaults or self._is_applied(code)]
        answer: dict[str, Any] = {"Quotas": [self._told(code, defaults) for code in codes[start : start + size]]}
        return answer | ({"NextToken": str(start + size)} if start + size < len(codes) else {})

    def get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Answer GetServiceQuota."""
        _check_service(asked)
        return {"Quota": self._told(self._known(asked["QuotaCode"]), defaults=False)}

    def request(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Answer RequestServiceQuotaIncrease: granted."""
        _check_service(asked)
        code = self._known(asked["QuotaCode"])
        self._granted[code] = float(asked["DesiredValue"])
        told = {"Id": hashlib.sha256(code.encode()).hexdigest()[:32], "Status": "APPROVED", **asked}
        return {"RequestedQuota": {**told, "QuotaName": self._names[code]}}

    def _known(self, code: str) -> str:
        if code not in self._names:
            raise JsonRESTError("NoSuchResourceException", f"there is no quota {code} of {quotas.SERVICE}")
        return code

    def _is_applied(self, code: str) -> bool:
        """Say whether the account has a value of its own, as AWS's accounts have of some quotas: here of CPUs."""
        return code in self._granted or not self._names[code].startswith(("ml.g", "ml.p"))

    def _told(self, code: str, defaults: bool) -> dict[str, Any]:
        value = PLENTY if defaults else self._granted.get(code, PLENTY)
        return {
            "ServiceCode": quotas.SERVICE, "QuotaCode": code, "QuotaName": self._names[code], "Value": float(value),
            "Adjustable": True, "GlobalQuota": False, "Unit": "None",
        }  # fmt: skip


def _types(use: str) -> Mapping[str, float]:
    """Return the instance types that have a price for a use; those of spot are training's."""
    prices = load_prices()
    known = {field.name for field in fields(Prices)}
    types: Mapping[str, float] = getattr(prices, use if use in known else "training")
    return types


def _code(name: str) -> str:
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _check_service(asked: Mapping[str, Any]) -> None:
    if asked["ServiceCode"] != quotas.SERVICE:
        raise NotImplementedError(f"quotas of {asked['ServiceCode']}")
