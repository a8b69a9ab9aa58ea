"""Execution status changes as EventBridge events.

"Automating Step Functions event delivery with EventBridge" (developer guide):
source ``aws.states``, detail type ``Step Functions Execution Status Change``,
one at the start and one at the end of an execution; times are epoch milliseconds.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from local import events

if TYPE_CHECKING:
    from local.cloud import Cloud
    from local.stepfunctions.execution import Execution

SOURCE = "aws.states"
DETAIL_TYPE = "Step Functions Execution Status Change"


def publish(cloud: Cloud, execution: Execution) -> None:
    """Send the event of an execution's present status to the default event bus."""
    events.publish(
        cloud, source=SOURCE, detail_type=DETAIL_TYPE, detail=detail(execution), resources=[execution.execution_arn]
    )


def detail(execution: Execution) -> dict[str, Any]:
    """Return the event's ``detail``."""
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": _millis(execution.start_date),
        "stopDate": _millis(execution.stop_date),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "output": execution.output,
        "outputDetails": execution.output_details,
        "error": execution.error,
        "cause": execution.cause,
        "stateMachineVersionArn": execution.state_machine_version_arn,
        "stateMachineAliasArn": execution.state_machine_alias_arn,
        "redriveCount": execution.redrive_count,
        "redriveDate": _millis(execution.redrive_date),
        "redriveStatus": "REDRIVABLE" if execution.redrivable else "NOT_REDRIVABLE",
        "redriveStatusReason": execution.not_redrivable or None,
    }


def _millis(moment: datetime.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
