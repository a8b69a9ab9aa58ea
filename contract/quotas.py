"""Service Quotas: how many machines of a type an account may run at once, by use.

Amazon SageMaker has a quota for each instance type and use, known by its name (``ml.g5.xlarge for training job
usage``); codes are opaque, so they are looked up. New accounts have 0 of most GPUs. Sources: "Amazon SageMaker AI
endpoints and quotas" (AWS General Reference); ListServiceQuotas and ListAWSDefaultServiceQuotas of Service Quotas' API
reference: the first leaves out quotas that have no value of the account's own, which the second has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SERVICE = "sagemaker"
LONGEST_SECONDS = 300
"""What reading them may take, twice: SageMaker has thousands, and Service Quotas answers ten pages a second at most."""
SPOT = "spot"
USES = {
    "training": "training job",
    SPOT: "spot training job",
    "processing": "processing job",
    "transform": "transform job",
    "hosting": "endpoint",
}
"""By what machines are used for, the words in the quota's name."""


def name_of(use: str, instance: str) -> str:
    """Return the name of the quota of an instance type; ``use`` is one of USES."""
    return f"{instance} for {USES[use]} usage"


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What an account may run at once of one type, for one use; ``code`` is AWS's, such as L-1234ABCD."""

    name: str
    code: str
    limit: int

    def raise_to(self, number: int) -> str:
        """Say how to ask for more."""
        return (
            f"aws service-quotas request-service-quota-increase --service-code {SERVICE}"
            f" --quota-code {self.code} --desired-value {number}, or"
            f" https://console.aws.amazon.com/servicequotas/home/services/{SERVICE}/quotas/{self.code}"
        )


def read(client: Any, wanted: Iterable[str]) -> dict[str, Quota]:
    """Return the quotas of some names; without those that AWS has none of.

    Args:
        client: a client of Service Quotas.
        wanted: names, as :func:`name_of` has them.
    """
    missing, found = set(wanted), {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=SERVICE, PaginationConfig={"PageSize": 100}):
            for each in page["Quotas"]:
                if each["QuotaName"] in missing:
                    missing.remove(each["QuotaName"])
                    quota = Quota(name=each["QuotaName"], code=each["QuotaCode"], limit=int(each["Value"]))
                    found[quota.name] = quota
            if not missing:
                return found
    return found
