"""The staging and the live endpoint: created, updated, waited for, restored, deleted."""

from __future__ import annotations

from typing import Any

from infra.asl import State, choice, expression, invoke, task, transient, wait, when
from infra.steps.deployment_parts import SAGEMAKER_ERRORS, DeploymentParts, on_failure

POLL_SECONDS = 5  # ten events a look: the longest deployment stays within an execution's 25,000
STAGING, LIVE = "$deployment.staging", "$deployment.endpoint"
CHANGING = "['Creating', 'Updating', 'SystemUpdating', 'RollingBack']"


def create(endpoint: str, *, then: str, failed: str) -> State:
    """Create an endpoint with the new configuration; ``endpoint`` is JSONata code of its name."""
    return _call(
        "createEndpoint",
        {
            "EndpointName": expression(endpoint),
            "EndpointConfigName": "{% $deployment.config_name %}",
            "Tags": "{% $deployment.tags %}",
        },
        then=then,
        failed=failed,
    )


def update(*, then: str, failed: str) -> State:
    """Put the new configuration behind the live endpoint; SageMaker keeps the old one serving meanwhile."""
    arguments = {"EndpointName": expression(LIVE), "EndpointConfigName": "{% $deployment.config_name %}"}
    return _call("updateEndpoint", arguments, then=then, failed=failed)


def pause(*, then: str) -> State:
    """Wait before looking again."""
    return wait(POLL_SECONDS, then=then)


def describe(endpoint: str, *, then: str, failed: str) -> State:
    """Look at an endpoint: ``$endpoint`` is its status, configuration and reason of failure."""
    result = "$states.result"
    seen = {
        "status": expression(f"{result}.EndpointStatus"),
        "configuration": expression(f"{result}.EndpointConfigName"),
        "reason": expression(f"$exists({result}.FailureReason) ? {result}.FailureReason : 'no reason given'"),
    }
    return task(
        "aws-sdk:sagemaker:describeEndpoint",
        {"EndpointName": expression(endpoint)},
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS)],
        assign={"endpoint": seen},
        output=seen,
        catch=on_failure(failed),
    )


def is_in_service(endpoint: str, *, yes: str, not_yet: str, no: str) -> State:
    """Decide whether the new configuration serves.

    An update that failed leaves the endpoint InService with its old
    configuration, so the status alone says nothing
    (hashicorp/terraform-provider-aws#39099).
    """
    served = "$endpoint.status = 'InService' and $endpoint.configuration = $deployment.config_name"
    cause = (
        f"'Endpoint ' & {endpoint} & ' is ' & $endpoint.status & ' with configuration ' & "
        "$endpoint.configuration & ': ' & $endpoint.reason"
    )
    return choice(
        when(served, yes),
        when(f"$endpoint.status in {CHANGING}", not_yet),
        otherwise=no,
        assign={"failure": {"error": "EndpointFailed", "cause": expression(cause)}},
    )


def check_golden_samples(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/golden.py: staging must answer as evaluated, before any traffic."""
    return invoke(
        parts.golden,
        {
            "endpoint": expression(STAGING),
            "golden_uri": "{% $deployment.golden_uri %}",
        },
        then=then,
        seconds=300,
        output={},
        catch=on_failure(failed),
    )


def is_there_one(*, yes: str, no: str) -> State:
    """Decide between creating the live endpoint and updating it."""
    return choice(when("$deployment.previous_config = null", no), otherwise=yes)


def what_to_restore(*, restore: str, delete: str, nothing: str) -> State:
    """Decide how the champion gets back: SageMaker may have kept it, and the first version has none before it."""
    kept = "$endpoint.status = 'InService' and $endpoint.configuration = $deployment.previous_config"
    return choice(when("$deployment.previous_config = null", delete), when(kept, nothing), otherwise=restore)


def restore(*, then: str) -> State:
    """Put the previous configuration back."""
    arguments = {"EndpointName": expression(LIVE), "EndpointConfigName": "{% $deployment.previous_config %}"}
    return _tidy("updateEndpoint", arguments, then=then)


def delete(endpoint: str, *, then: str) -> State:
    """Delete an endpoint; one that is not there is as good as deleted."""
    return _tidy("deleteEndpoint", {"EndpointName": expression(endpoint)}, then=then)


def _call(action: str, arguments: dict[str, Any], *, then: str, failed: str) -> State:
    return task(
        f"aws-sdk:sagemaker:{action}",
        arguments,
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=3)],
        output={},
        catch=on_failure(failed),
    )


def _tidy(action: str, arguments: dict[str, Any], *, then: str) -> State:
    """A step of cleaning up: it never hides the failure that led here, and the lease must be released."""
    state = _call(action, arguments, then=then, failed=then)
    state["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": then}]
    return state
