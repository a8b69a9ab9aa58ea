"""What a machine's role must allow besides its tasks' own calls.

A ``.sync`` task hears of its job's end by an EventBridge rule that Step Functions makes in the role's name, and tags a
SageMaker job; the log of executions is delivered in its name, too. AWS looks at rules and log when a machine is made
("IAM policies for integrated services" and "Logging using CloudWatch Logs", Step Functions Developer Guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from local.permissions import needs
from local.permissions.needs import Need
from local.permissions.requests import Call
from local.stepfunctions.api_errors import AccessDenied
from local.stepfunctions.errors import StateFailed
from local.stepfunctions.tasks.resource import parse

if TYPE_CHECKING:
    from local.cloud import Cloud
    from local.stepfunctions.tasks.integration import Task

SESSION = "StepFunctions"
RULES = {
    "createTrainingJob": "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "createProcessingJob": "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    "createTransformJob": "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    "createHyperParameterTuningJob": "StepFunctionsGetEventsForSageMakerTuningJobsRule",
    "startBuild": "StepFunctionsGetEventForCodeBuildStartBuildRule",
    "startExecution": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}
"""By what is started."""
DELIVERY = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip


def check(cloud: Cloud, role: str, definition: str, logging: Mapping[str, Any]) -> None:
    """Refuse a machine whose role does not allow the rules of its jobs, or its log.

    Raises:
        AccessDenied: in AWS's words.
    """
    rules = [RULES[action] for action in sorted(set(_synchronous(json.loads(definition))))]
    arns = [cloud.guard.here.arn("events", f"rule/{name}") for name in rules]
    asked = [Need(action=f"events:{verb}", resource=arn) for arn in arns for verb in _RULE_VERBS]
    if refusal := cloud.guard.refusal(role, SESSION, *asked):
        raise AccessDenied(f"'{role}' is not authorized to create managed-rule. ({refusal})")
    delivered = [Need(action=f"logs:{verb}") for verb in DELIVERY] if logging.get("destinations") else []
    if refusal := cloud.guard.refusal(role, SESSION, *delivered):
        raise AccessDenied(f"The state machine IAM Role is not authorized to access the Log Destination ({refusal})")


_RULE_VERBS = ("PutTargets", "PutRule", "DescribeRule")


def _synchronous(part: Any) -> Iterator[str]:
    """Yield the actions of the tasks that wait for what they start, however deep they lie."""
    if isinstance(part, dict):
        if part.get("Type") == "Task" and (resource := parse(part["Resource"])).pattern.startswith("sync"):
            yield resource.action
        for each in part.values():
            yield from _synchronous(each)
    elif isinstance(part, list):
        for each in part:
            yield from _synchronous(each)


def check_tags(task: Task) -> None:
    """Refuse a job of SageMaker that may not be tagged, as Step Functions tags those it waits for.

    Raises:
        StateFailed: the role does not allow it.
    """
    if task.resource.service != "sagemaker" or not isinstance(task.arguments, Mapping):
        return
    action = f"{task.resource.action[0].upper()}{task.resource.action[1:]}"
    call = Call(service="sagemaker", operation=action, params=task.arguments)
    job = needs.of(call, task.cloud.guard.here)[0].resource
    asked = [Need(action=f"sagemaker:{verb}Tags", resource=job) for verb in ("Add", "List")]
    if refusal := task.cloud.guard.refusal(task.context["Execution"]["RoleArn"], SESSION, *asked):
        raise StateFailed("SageMaker.AmazonSageMakerException", refusal)
