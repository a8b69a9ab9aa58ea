"""Task states: one file an idea.

resource     reads the Resource ARN
shapes       arguments and results, from botocore's service models
integration  one call of a service
sdk          aws-sdk:*
optimised    lambda, dynamodb, sns, sqs, events, sagemaker, codebuild, states
jobs         .sync: wait for the end, stop what runs on
"""

from __future__ import annotations

from typing import Any

from local.stepfunctions import permissions
from local.stepfunctions.history import data
from local.stepfunctions.tasks import jobs, sdk, shapes
from local.stepfunctions.tasks.integration import REQUEST, SYNC, TOKEN, Integration, Task
from local.stepfunctions.tasks.optimised import INTEGRATIONS, PATTERNS
from local.stepfunctions.tasks.resource import Resource, unknown

__all__ = ["Task", "find", "run"]


def find(resource: Resource) -> Integration:
    """Return the integration that a Resource names.

    Raises:
        ValueError: Step Functions, or this cloud, has no such integration or pattern.
    """
    if resource.service.startswith("aws-sdk:"):
        integration = sdk.integration(resource.service.removeprefix("aws-sdk:"), resource.action)
        patterns = frozenset({REQUEST, TOKEN})
    else:
        integration = INTEGRATIONS.get(resource.service)
        patterns = PATTERNS.get((resource.service, resource.action), frozenset())
    if integration is None or resource.pattern not in patterns:
        raise ValueError(unknown(resource.arn))
    try:
        shapes.operation(integration.service, resource.action)
    except ValueError as error:
        raise ValueError(f"{unknown(resource.arn)} ({error})") from error
    return integration


def run(task: Task) -> Any:
    """Do what a Task state asks for and return its result.

    Raises:
        StateFailed: the task failed.
        Interrupted: the execution ends; a job that was started is stopped.
    """
    integration = find(task.resource)
    if task.resource.pattern == SYNC:
        permissions.check_tags(task)
    started = integration.call(task)
    if task.resource.pattern == REQUEST:
        return started
    task.trail.add("TaskSubmitted", {**task.resource.event_fields, **data("output", started)})
    if task.callback is not None:
        return task.callback.result(task.scope, task.heartbeat)
    return jobs.run(integration, task, started)
