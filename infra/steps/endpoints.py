"""The staging and the live endpoint: created, updated, waited for, restored, deleted."""

from __future__ import annotations

from typing import Any

from contract.errors import EndpointBusy
from infra.asl import State, caught, choice, code, expression, invoke, task, transient, wait, when
from infra.steps.deployment_parts import (
    ALL_HEARD,
    ONE_MORE_UNHEARD,
    SAGEMAKER_ERRORS,
    DeploymentParts,
    on_failure,
    on_refusal,
)

POLL_SECONDS = "{% $deployment.poll_seconds %}"  # ten events a look: the longest rollout stays within 25,000
DIED = ("Lambda.Unknown", "Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout")
"""How a function ends that dies, of a time-out too; one that may run twice is called again."""
STAGING, LIVE = "$deployment.staging", "$deployment.endpoint"
PREVIOUS = "$deployment.previous_config"
NEW, STAGED, SHADOWED = "$deployment.config_name", "$deployment.staging_config", "$deployment.shadow.config_name"
CHANGING = "['Creating', 'Updating', 'SystemUpdating', 'RollingBack']"
NO_REASON = "no reason given"
NOT_BACK = "ChampionNotBack"


def create(endpoint: str, configuration: str, *, then: str, failed: str) -> State:
    """Create an endpoint with a configuration; both are JSONata code of names."""
    return _call("createEndpoint", _wanted(endpoint, configuration), then=then, failed=failed) | {
        "Catch": on_refusal(failed)
    }


def _wanted(endpoint: str, configuration: str) -> dict[str, Any]:
    return {
        "EndpointName": expression(endpoint),
        "EndpointConfigName": expression(configuration),
        "Tags": "{% $deployment.tags %}",
    }


def update(*, then: str, failed: str) -> State:
    """Move traffic to the new configuration as the plan says; SageMaker keeps the old one serving meanwhile.

    With a DeploymentConfig it moves in steps, and goes back by itself when an alarm goes off. Whether a request that
    nobody answered has arrived, the endpoint itself tells: asked at once, SageMaker would refuse it as one too many.
    """
    arguments = {"EndpointName": expression(LIVE), "EndpointConfigName": expression(NEW)}
    return _changed(expression(f"$merge([{code(arguments)}, $deployment.update])"), NEW, then=then, failed=failed)


def put_into_shadow(*, then: str, failed: str) -> State:
    """Let the new version have a copy of the live endpoint's requests."""
    arguments = {"EndpointName": expression(LIVE), "EndpointConfigName": expression(SHADOWED)}
    return _changed(arguments, SHADOWED, then=then, failed=failed)


def pause(*, then: str) -> State:
    """Wait before looking again."""
    return wait(POLL_SECONDS, then=then)


def describe(endpoint: str, *, then: str, failed: str) -> State:
    """Look at an endpoint: ``$endpoint`` is its name, status, configuration and reason of failure."""
    result = "$states.result"
    seen = {
        "name": expression(endpoint),
        "status": expression(f"{result}.EndpointStatus"),
        "configuration": expression(f"{result}.EndpointConfigName"),
        "reason": expression(f"$exists({result}.FailureReason) ? {result}.FailureReason : '{NO_REASON}'"),
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


def is_in_service(endpoint: str, configuration: str, *, yes: str, not_yet: str, no: str, again: str = "") -> State:
    """Decide whether the configuration, JSONata code of its name, serves.

    An update that failed leaves the endpoint InService with its old
    configuration, so the status alone says nothing
    (hashicorp/terraform-provider-aws#39099). So does one that never began,
    because its request was lost: then the state ``again`` asks once more.
    """
    served = f"$endpoint.status = 'InService' and $endpoint.configuration = {configuration}"
    never_began = f"$unheard in [1, 2] and $endpoint.status = 'InService' and $endpoint.reason = '{NO_REASON}'"
    cause = (
        f"'Endpoint ' & {endpoint} & ' is ' & $endpoint.status & ' with configuration ' & "
        "$endpoint.configuration & ': ' & $endpoint.reason"
    )
    return choice(
        when(served, yes),
        when(f"$endpoint.status in {CHANGING}", not_yet),
        *([when(never_began, again)] if again else []),
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


def begins_in_shadow(*, yes: str, no: str) -> State:
    """Decide whether the new version only gets a copy of requests at first."""
    return choice(when("$deployment.shadow != null", yes), otherwise=no)


def is_ab_test(*, yes: str, no: str) -> State:
    """Decide whether the version keeps a share of requests beside the champion, or takes its place."""
    return choice(when("$deployment.ab_percent > 0", yes, assign={"minutes": 0}), otherwise=no)


def what_to_restore(*, restore: str, replace: str, nothing: str) -> State:
    """Decide how the champion gets back: SageMaker may have kept it, and the first version has none before it.

    An endpoint that is ``Failed`` can only be deleted ("DescribeEndpoint", SageMaker's API Reference).
    """
    kept = "$endpoint.status = 'InService' and $endpoint.configuration = $deployment.previous_config"
    untouched = f"$endpoint.name != {LIVE}"
    return choice(
        when(f"$deployment.previous_config = null or {untouched} or ({kept})", nothing),
        when("$endpoint.status = 'Failed'", replace),
        otherwise=restore,
    )


def restore(*, then: str) -> State:
    """Put the previous configuration back, as soon as the endpoint lets itself be updated."""
    arguments = {"EndpointName": expression(LIVE), "EndpointConfigName": expression(PREVIOUS)}
    retry = [transient(*SAGEMAKER_ERRORS, "States.Timeout", first=10, longest=30, times=20)]
    return _tidy("updateEndpoint", arguments, then=then) | {"Retry": retry, "Catch": _not_back(then)}


def delete(endpoint: str, *, then: str) -> State:
    """Delete an endpoint, JSONata code of its name: staging costs as long as it is there."""
    return _tidy("deleteEndpoint", {"EndpointName": expression(endpoint)}, then=then)


def put_back(*, then: str) -> State:
    """Create the endpoint again, with the previous configuration, as soon as the failed one is gone."""
    service, lost = SAGEMAKER_ERRORS
    retry = [transient(service, lost, first=10, longest=30, times=12)]
    return _tidy("createEndpoint", _wanted(LIVE, PREVIOUS), then=then) | {"Retry": retry, "Catch": _not_back(then)}


def tidy(parts: DeploymentParts, *, then: str) -> State:
    """Call functions/tidy.py: endpoints, configurations, models and alarms that nothing needs any more go.

    It is called again while the endpoint changes, because its old configuration is needed until then. Whatever else it
    fails at, what it leaves costs nothing, and goes with the next deployment.
    """
    alarms = "[$deployment.alarms.AlarmName, $deployment.scaling.alarms.AlarmName]"
    made = f"$failure = null and $exists($deployment.alarms) ? {alarms} : null"
    state = invoke(
        parts.tidy,
        {"tenant": "{% $tenant %}", "project": "{% $project %}", "alarms": expression(made)},
        then=then,
        seconds=120,
        retry=[transient(EndpointBusy.__name__, first=10, longest=30, times=100)],
    )
    retry = [*state["Retry"], transient(*DIED, times=3)]
    return state | {"Retry": retry, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": then}]}


def _changed(arguments: dict[str, Any] | str, configuration: str, *, then: str, failed: str) -> State:
    """Update the live endpoint; from here on ``$endpoint`` says so, in case that nobody can look at it again."""
    service, lost = SAGEMAKER_ERRORS
    seen = {
        "name": expression(LIVE),
        "status": "Updating",
        "configuration": expression(configuration),
        "reason": "nobody has looked at it since",
    }
    state = _call("updateEndpoint", arguments, then=then, failed=failed)
    unanswered = caught(lost, "States.Timeout", then=then, assign={"endpoint": seen, **ONE_MORE_UNHEARD})
    return state | {
        "Retry": [transient(service, times=3)],
        "Assign": {"endpoint": seen, **ALL_HEARD},
        "Catch": [unanswered, *state["Catch"]],
    }


def _call(action: str, arguments: dict[str, Any] | str, *, then: str, failed: str) -> State:
    return task(
        f"aws-sdk:sagemaker:{action}",
        arguments,
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, "States.Timeout", times=3)],
        output={},
        catch=on_failure(failed),
    )


def _tidy(action: str, arguments: dict[str, Any], *, then: str) -> State:
    """A step of cleaning up: it never hides the failure that led here, and the lease must be released."""
    state = _call(action, arguments, then=then, failed=then)
    state["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": then}]
    return state


def _not_back(then: str) -> list[dict[str, Any]]:
    """Return the Catch that adds to the failure that led here that the champion is not back, and why.

    By this error, the end starts the machine again, which puts it back later (infra/rules.py).
    """
    first = "$failure.error & ': ' & $failure.cause"
    cause = f"{first} & '; the champion could not be put back: ' & $states.errorOutput.Cause"
    failure = {"error": NOT_BACK, "cause": expression(cause)}
    return [caught("States.ALL", then=then, assign={"failure": failure})]
