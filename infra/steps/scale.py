"""Scaling of an endpoint's variants, by Application Auto Scaling: stopped before an update, begun again after it.

SageMaker refuses an update that removes a scaled variant or changes its instance type until it is deregistered, and
nothing is scaled while an endpoint is updated anyway ("Update endpoints that use auto scaling", Amazon SageMaker AI
Developer Guide). Deregistering deletes the policies and their alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contract import names
from infra.asl import State, caught, choice, code, each, expression, task, transient, when
from infra.steps.alarms import ERRORS as ALARM_ERRORS
from infra.steps.deployment_parts import FAILURE, on_failure
from infra.steps.endpoints import CHANGING

SERVICE = "ApplicationAutoScaling"
ERRORS = tuple(
    f"{SERVICE}.{name}"
    for name in (
        "ApplicationAutoScalingException",  # throttling, too
        "ConcurrentUpdateException",
        "FailedResourceAccessException",  # the service-linked role was made just now
        "InternalServiceException",
        "SdkClientException",
    )
)
NOT_FOUND = f"{SERVICE}.ObjectNotFoundException"
"""Also what a policy meets while the variant's registration is not known everywhere yet."""
IS_GOOD = "$failure = null and $deployment.verdict = 'go'"


def stop(*, then: str, failed: str) -> State:
    """Deregister the variants that are scaled now, so that their endpoint may be updated."""
    resource = names.SCALABLE | {"ResourceId": "{% $states.input %}"}
    one = _call("deregisterScalableTarget", resource, then=None)
    one["Catch"] = [caught(NOT_FOUND, then="Not scaled")]
    states = {"Stop scaling variant": one, "Not scaled": {"Type": "Succeed"}}
    return each("$deployment.scaled", states, then=then, catch=on_failure(failed))


def is_steady(*, yes: str, not_yet: str) -> State:
    """Decide whether what scaling began is done: SageMaker makes one change of an endpoint at a time."""
    return choice(when(f"$endpoint.status in {CHANGING}", not_yet), otherwise=yes)


def start(policies: str, *, then: str, catch: Sequence[Mapping[str, Any]], ending: str = "") -> State:
    """Register the variants, and put their policies with the alarms that these need; asked again, it is the same.

    Args:
        policies: JSONata code of what functions/scaling.py plans.
        then: the next state.
        catch: where it leads when it fails.
        ending: of the names of the states within, which are a machine's own.
    """
    alarm = task(
        "aws-sdk:cloudwatch:putMetricAlarm",
        "{% $states.input %}",
        then=None,
        seconds=60,
        retry=[transient(*ALARM_ERRORS)],
        output={},
    )
    called = "$merge([$alarm, {'AlarmActions': [$states.result.PolicyARN]}])"
    with_action = expression(f"[$map($states.input.alarms, function($alarm) {{{called}}})]")
    register = _call("registerScalableTarget", "{% $states.input.target %}", then=f"Put scaling policy{ending}")
    put = _call("putScalingPolicy", "{% $states.input.policy %}", then=f"Put its alarms{ending}", also=[NOT_FOUND])
    states = {
        f"Register variant{ending}": register | {"Output": "{% $states.input %}"},
        f"Put scaling policy{ending}": put | {"Output": with_action},
        f"Put its alarms{ending}": each("$states.input", {f"Put its alarm{ending}": alarm}, then=None),
    }
    return each(policies, states, then=then, catch=catch, at_once=1)


def as_before(*, then: str) -> State:
    """Scale what is in service as its version says, where a deployment ended otherwise than in a new one."""
    items = f"{IS_GOOD} ? [] : $deployment.scaling_before"
    first = {"failure": expression(f"$failure != null ? $failure : {code(FAILURE)}")}
    return start(items, then=then, catch=[caught("States.ALL", then=then, assign=first)], ending=" as before")


def _call(action: str, arguments: Any, *, then: str | None, also: Sequence[str] = ()) -> State:
    return task(
        f"aws-sdk:applicationautoscaling:{action}",
        arguments,
        then=then,
        seconds=60,
        retry=[transient(*ERRORS, *also, times=6)],
        output={},
    )
