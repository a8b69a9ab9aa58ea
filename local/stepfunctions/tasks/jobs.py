"""The run-a-job pattern (``.sync``): start, wait for the end, stop the job when the state ends first.

"Run a Job (.sync)" (developer guide). AWS learns of the end by an EventBridge
event; here the job is polled, often at first and then more seldom, so that a
short job is noticed quickly and a long one costs little.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from local.stepfunctions.errors import TASK_FAILED, StateFailed
from local.stepfunctions.history import dumps
from local.stepfunctions.tasks import shapes
from local.stepfunctions.tasks.integration import SYNC2, Integration, Task

logger = logging.getLogger(__name__)
FIRST_POLL, LONGEST_POLL = 0.05, 0.5  # laptop seconds: watching real work is not scaled


@dataclass(frozen=True, kw_only=True)
class Job:
    """How a kind of job is watched and stopped.

    Args:
        identify: makes Describe's and Stop's arguments from the request and
            what starting it returned.
        describe: the API operation that tells its state.
        stop: the API operation that ends it early.
        status: reads its status from what Describe returned.
        running: the statuses to go on waiting in.
        good: the statuses that make the state succeed; any other fails it.
        stop_arguments: makes Stop's arguments, where Describe's do not do.
        view: what of Describe's answer the state sees.
    """

    identify: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
    describe: str
    stop: str
    status: Callable[[Mapping[str, Any]], str]
    running: frozenset[str]
    good: frozenset[str]
    stop_arguments: Callable[[dict[str, Any]], dict[str, Any]] = lambda identity: identity
    view: Callable[[Any], Any] = lambda described: described


def _sagemaker(kind: str) -> Job:
    # A job that was stopped, or ran out of time, is no failure: the state goes on and can look at the status.
    return Job(
        identify=lambda request, started: {f"{kind}Name": request[f"{kind}Name"]},
        describe=f"Describe{kind}",
        stop=f"Stop{kind}",
        status=lambda described: str(described[f"{kind}Status"]),
        running=frozenset({"InProgress", "Stopping"}),
        good=frozenset({"Completed", "Stopped"}),
    )


JOBS: dict[tuple[str, str], Job] = {
    ("sagemaker", "createTrainingJob"): _sagemaker("TrainingJob"),
    ("sagemaker", "createProcessingJob"): _sagemaker("ProcessingJob"),
    ("sagemaker", "createTransformJob"): _sagemaker("TransformJob"),
    ("sagemaker", "createHyperParameterTuningJob"): _sagemaker("HyperParameterTuningJob"),
    ("codebuild", "startBuild"): Job(
        identify=lambda request, started: {"ids": [started["Build"]["Id"]]},
        describe="BatchGetBuilds",
        stop="StopBuild",
        status=lambda described: str(described["Build"]["BuildStatus"]),
        running=frozenset({"IN_PROGRESS"}),
        good=frozenset({"SUCCEEDED"}),
        stop_arguments=lambda identity: {"id": identity["ids"][0]},
        view=lambda described: {"Build": described["Builds"][0]},
    ),
    ("states", "startExecution"): Job(
        identify=lambda request, started: {"executionArn": started["ExecutionArn"]},
        describe="DescribeExecution",
        stop="StopExecution",
        status=lambda described: str(described["Status"]),
        running=frozenset({"RUNNING"}),
        good=frozenset({"SUCCEEDED"}),
        stop_arguments=lambda identity: {**identity, "cause": "The state that started it ended."},
    ),
}


def run(integration: Integration, task: Task, started: Mapping[str, Any]) -> Any:
    """Wait until a job that was started has ended, and return its description.

    Raises:
        StateFailed: ``States.TaskFailed``, its cause the description as JSON.
    """
    job = JOBS[task.resource.service, task.resource.action]
    identity = job.identify(task.arguments, started)
    try:
        described = _await_end(integration, job, identity, task)
    except Exception:
        _stop(integration, job, identity, task)
        raise
    if job.status(described) not in job.good:
        raise StateFailed(TASK_FAILED, dumps(described))
    return _parsed(described) if task.resource.pattern == SYNC2 else described


def _await_end(integration: Integration, job: Job, identity: dict[str, Any], task: Task) -> Any:
    model = shapes.service_model(integration.service).operation_model(job.describe)
    describe = getattr(task.client(integration.service), xform_name(job.describe))
    pause = FIRST_POLL
    while True:
        task.scope.sleep(pause)
        try:
            answer = describe(**identity)
        except ClientError as error:
            raise integration.failure(error) from error
        described = job.view(integration.result(answer, model.output_shape))
        if job.status(described) not in job.running:
            return described
        pause = min(pause * 1.2, LONGEST_POLL)


def _stop(integration: Integration, job: Job, identity: dict[str, Any], task: Task) -> None:
    """Stop the job; AWS promises no more than to try, and the state's own end stands either way."""
    stop = getattr(task.client(integration.service), xform_name(job.stop))
    try:
        stop(**job.stop_arguments(identity))
    except Exception as error:
        logger.warning("could not stop %s %s: %s", task.resource.arn, identity, error)


def _parsed(described: dict[str, Any]) -> dict[str, Any]:
    """``.sync:2`` gives Input and Output as JSON, not as text."""
    return {key: json.loads(value) if key in ("Input", "Output") else value for key, value in described.items()}
