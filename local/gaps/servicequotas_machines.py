"""Gap: only the VPC service has quotas.

AWS has a quota for each instance type and use of SageMaker, lists them page by page, and takes requests for more. moto
knows 22 quotas of one other service. Closed by ``local/quotas.py``.

Not emulated: quotas of other services, usage metrics, the time that AWS takes to grant a request, and SageMaker's
refusal (ResourceLimitExceeded) itself, which the fault lab injects.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moto.servicequotas.responses import ServiceQuotasResponse

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations."""
    quotas = cloud.quotas

    def list_service_quotas(self: ServiceQuotasResponse) -> str:
        return json.dumps(quotas.listed(json.loads(self.body)))

    def list_aws_default_service_quotas(self: ServiceQuotasResponse) -> str:
        return json.dumps(quotas.listed(json.loads(self.body), defaults=True))

    def get_service_quota(self: ServiceQuotasResponse) -> str:
        return json.dumps(quotas.get(json.loads(self.body)))

    def request_service_quota_increase(self: ServiceQuotasResponse) -> str:
        return json.dumps(quotas.request(json.loads(self.body)))

    for operation in (
        list_service_quotas, list_aws_default_service_quotas, get_service_quota, request_service_quota_increase,
    ):  # fmt: skip
        setattr(ServiceQuotasResponse, operation.__name__, operation)
