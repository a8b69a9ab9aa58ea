"""What the registry says of a version, told to the run that waits for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contract.packages import PENDING
from functions.shared import client, error_code, logger

OVER = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
"""Errors of a token whose state has ended: it was answered before, it expired, or its run was stopped."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the registry says: its ModelApprovalStatus, and why, in the words of who changed it."""

    status: str
    note: str


def decision(package_arn: str) -> Decision | None:
    """Return what was decided about a version; None while nobody has."""
    package = client("sagemaker").describe_model_package(ModelPackageName=package_arn)
    if package["ModelApprovalStatus"] == PENDING:
        return None
    return Decision(status=package["ModelApprovalStatus"], note=package.get("ApprovalDescription", ""))


def release(row: Mapping[str, Any], decided: Decision) -> bool:
    """Let the run of an approval's row go on; return False when it does not wait any more."""
    said = {"status": decided.status, "note": decided.note}
    told = {"run": row["run"], "package": row["package_arn"], **said}
    try:
        client("stepfunctions").send_task_success(taskToken=row["token"], output=json.dumps(said))
    except ClientError as error:
        if error_code(error) not in OVER:
            raise
        logger.warning("nobody waits for this approval", extra=told)
        return False
    logger.info("approval decided", extra=told)
    return True
