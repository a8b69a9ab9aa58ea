"""Alarms of an endpoint's variants: made before a new version gets traffic, and watched where SageMaker does not."""

from __future__ import annotations

from infra.asl import State, choice, each, expression, task, transient, wait, when
from infra.steps.deployment_parts import on_failure

ERRORS = ("CloudWatch.CloudWatchException", "CloudWatch.LimitExceededException", "CloudWatch.SdkClientException")
A_MINUTE = 60  # what an alarm looks at


def put(*, then: str, failed: str) -> State:
    """Make or change each alarm of the plan: the share of requests answered 5xx, and latency."""
    one = task(
        "aws-sdk:cloudwatch:putMetricAlarm",
        "{% $states.input %}",
        then=None,
        seconds=60,
        retry=[transient(*ERRORS)],
        output={},
    )
    return each("$deployment.alarms", {"Create alarm": one}, then=then, catch=on_failure(failed))


def pause(*, then: str) -> State:
    """Let the new version answer for a minute."""
    return wait(A_MINUTE, then=then)


def look(watched: str, *, then: str, failed: str) -> State:
    """Look at the alarms of ``watched``, ``shadow`` or ``challenger``: ``$alarmed`` names those that went off."""
    went_off = "$states.result.MetricAlarms[StateValue = 'ALARM'].AlarmName"
    return task(
        "aws-sdk:cloudwatch:describeAlarms",
        {"AlarmNames": expression(f"$deployment.watch.{watched}.alarms"), "AlarmTypes": ["MetricAlarm"]},
        then=then,
        seconds=60,
        retry=[transient(*ERRORS)],
        assign={"alarmed": expression(f"[{went_off}]"), "minutes": "{% $minutes + 1 %}"},
        output={"alarmed": expression(f"[{went_off}]")},
        catch=on_failure(failed),
    )


def are_quiet(watched: str, *, yes: str, not_yet: str, no: str) -> State:
    """Decide whether the version was watched long enough, and stayed within its alarms all the time."""
    cause = f"'Alarms of the new version, as {watched}, went off: ' & $join($alarmed, ', ')"
    return choice(
        when("$count($alarmed) > 0", no, assign={"failure": {"error": "AlarmWentOff", "cause": expression(cause)}}),
        when(f"$minutes < $deployment.watch.{watched}.minutes", not_yet),
        otherwise=yes,
    )
