"""What the API says of executions: all that the API reference's pages have.

AWS: StopExecution and SendTaskFailure keep error and cause, DescribeExecution
and ListExecutions know TIMED_OUT and redrives, RedriveExecution goes on from the
failed state, ValidateStateMachineDefinition lists every mistake. moto 5.2.5
drops the causes, leaves ``stopDate`` out of timed-out executions and answers
the last two with 500. The response methods are replaced or added here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.responses import StepFunctionResponse

from local.stepfunctions.definition import errors_of
from local.stepfunctions.execution import RUNNING, SUCCEEDED, Execution

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Replace and add response methods."""
    for method in (
        describe_execution,
        describe_state_machine_for_execution,
        get_execution_history,
        list_executions,
        redrive_execution,
        send_task_failure,
        stop_execution,
        validate_state_machine_definition,
    ):
        setattr(StepFunctionResponse, method.__name__, method)


def describe_execution(self: Any) -> ActionResult:
    """DescribeExecution."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    described = {
        **_summary(execution),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "error": execution.error,
        "cause": execution.cause,
        "redriveStatus": "REDRIVABLE" if execution.redrivable else "NOT_REDRIVABLE",
    }
    if not execution.redrivable:
        described["redriveStatusReason"] = execution.not_redrivable
    if execution.status == SUCCEEDED:
        described |= {"output": execution.output, "outputDetails": execution.output_details}
    return ActionResult(_present(described))


def list_executions(self: Any) -> ActionResult:
    """ListExecutions."""
    executions, token = self.stepfunction_backend.list_executions(
        self._get_param("stateMachineArn"),
        status_filter=self._get_param("statusFilter"),
        max_results=self._get_int_param("maxResults"),
        next_token=self._get_param("nextToken"),
    )
    return ActionResult({"executions": [_present(_summary(item)) for item in executions], "nextToken": token})


def describe_state_machine_for_execution(self: Any) -> ActionResult:
    """DescribeStateMachineForExecution: the definition that the execution runs, whatever came after."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    machine = self.stepfunction_backend.describe_state_machine(execution.state_machine_arn)
    return ActionResult(
        {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": execution.definition_text,
            "roleArn": execution.role_arn,
            "updateDate": machine.update_date,
            "loggingConfiguration": machine.loggingConfiguration,
            "tracingConfiguration": machine.tracingConfiguration,
        }
    )


def get_execution_history(self: Any) -> ActionResult:
    """GetExecutionHistory, in either order, page by page."""
    history = self.stepfunction_backend.get_execution_history(self._get_param("executionArn"))
    events = history["events"][::-1] if self._get_param("reverseOrder") else history["events"]
    start = int(self._get_param("nextToken") or 0)
    end = start + int(self._get_param("maxResults") or 100)
    token = str(end) if end < len(events) else None
    return ActionResult(_present({"events": events[start:end], "nextToken": token}))


def stop_execution(self: Any) -> ActionResult:
    """StopExecution, with its error and cause."""
    execution = self.stepfunction_backend.stop_execution(
        self._get_param("executionArn"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return ActionResult({"stopDate": execution.stop_date or execution.start_date})


def redrive_execution(self: Any) -> ActionResult:
    """RedriveExecution."""
    execution = self.stepfunction_backend.redrive_execution(self._get_param("executionArn"))
    return ActionResult({"redriveDate": execution.redrive_date})


def send_task_failure(self: Any) -> ActionResult:
    """SendTaskFailure, with its cause."""
    self.stepfunction_backend.send_task_failure(
        self._get_param("taskToken"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return EmptyResult()


def validate_state_machine_definition(self: Any) -> ActionResult:
    """ValidateStateMachineDefinition: the same checks as CreateStateMachine's."""
    errors = errors_of(self._get_param("definition"))
    limit = int(self._get_param("maxResults") or 100)
    diagnostics = [
        {"severity": "ERROR", "code": error.code, "message": error.message, "location": error.location}
        for error in errors[:limit]
    ]
    result = "FAIL" if errors else "OK"
    return ActionResult({"result": result, "diagnostics": diagnostics, "truncated": len(errors) > limit})


def _summary(execution: Execution) -> dict[str, Any]:
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "stateMachineVersionArn": execution.state_machine_version_arn,
        "stateMachineAliasArn": execution.state_machine_alias_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "stopDate": execution.stop_date if execution.status != RUNNING else None,
        "redriveCount": execution.redrive_count,
        "redriveDate": execution.redrive_date,
    }


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
