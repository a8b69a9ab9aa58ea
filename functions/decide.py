"""A version's approval changed in the registry: the run that waits for it goes on.

The event only says where to look: what the registry says now is what counts, in whatever order events come.
"""

from __future__ import annotations

from typing import Any

from contract import ledger
from functions import approvals, table
from functions.shared import logger


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Release the run that waits for the package of an event ``SageMaker Model Package State Change``.

    Returns:
        ``{"released"}``: False when no run waits for it.
    """
    detail = event["detail"]
    tenant, _, project = detail["ModelPackageGroupName"].partition("--")
    row = table.get(ledger.approval_key(tenant, project, int(detail["ModelPackageVersion"])))
    decided = approvals.decision(detail["ModelPackageArn"]) if row else None
    if row is None or decided is None:
        logger.info("no run waits", extra={"package": detail["ModelPackageArn"]})
        return {"released": False}
    return {"released": approvals.release(row, decided)}
