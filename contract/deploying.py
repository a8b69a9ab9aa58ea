"""Settings of [deploy] that SageMaker cannot have together, or that contradict each other.

Sources: "Exclusions" of deployment guardrails and of shadow tests, ``TrafficRoutingConfig``, ``CreateEndpointConfig``,
"Data capture", "Serverless endpoints", "Automatic scaling" and "Autoscale an asynchronous endpoint" (Amazon SageMaker
AI Developer Guide and API Reference). An asynchronous endpoint has one variant ("Endpoint configuration", AWS CDK RFC
431).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields

from contract import sleeping
from contract.config import Deploy
from contract.errors import InvalidConfig

DEFAULTS = {field.name: field.default for field in fields(Deploy)}
OF_TARGETS = {
    "rollout": ("realtime", "async", "lambda"),
    "shadow_percent": ("realtime",),
    "ab_percent": ("realtime",),
    "capture_percent": ("realtime",),
    "min_instances": ("realtime", "async"),
    "max_instances": ("realtime", "async"),
    "invocations_per_instance": ("realtime",),
    "concurrency_per_instance": ("realtime",),
    "backlog_per_instance": ("async",),
    "sleep": (sleeping.SLEEPS,),
}
"""The targets that have a setting at all, of those that not all have."""

WHY_NOT = {
    "rollout": "Elsewhere all traffic moves at once, after the golden samples.",
    "shadow_percent": "SageMaker copies requests between instances of real-time endpoints only.",
    "ab_percent": "Elsewhere there is no second version to divide requests with.",
    "capture_percent": "Elsewhere SageMaker captures nothing.",
    "min_instances": "Elsewhere there are no instances to count.",
    "max_instances": "Elsewhere there are no instances to count.",
    "invocations_per_instance": "An asynchronous endpoint is scaled by its queue.",
    "concurrency_per_instance": "An asynchronous endpoint is scaled by its queue.",
    "backlog_per_instance": "Elsewhere no request waits in a queue.",
    "sleep": "Asynchronous endpoints scale to zero (deploy.min_instances = 0), the others cost nothing when idle.",
}
MEASURES = ("invocations_per_instance", "concurrency_per_instance", "backlog_per_instance")
"""What instances are scaled by."""

BURSTABLE = "ml.t2."

LONGEST_MINUTES = 6 * 60
"""Longest time that a deployment may wait in all, well within SageMaker's MaximumExecutionTimeoutInSeconds (8 h)."""


def check_deploying(deploy: Deploy) -> None:
    """Refuse settings that cannot be meant together.

    Raises:
        InvalidConfig: for the first of them.
    """
    for check in (_targets, _memory, _rollout, _second_version, _scaling, _sleep):
        for mistake in check(deploy):
            raise mistake


def steps(deploy: Deploy) -> int:
    """Return in how many steps traffic moves."""
    return {"all": 1, "canary": 2, "linear": math.ceil(100 / deploy.step_percent)}[deploy.rollout]


def waiting_minutes(deploy: Deploy) -> int:
    """Return how long a deployment waits and watches in all: after each step, again before the old fleet goes."""
    watched = 1 if deploy.rollout == "all" else steps(deploy) + 1
    return watched * deploy.bake_minutes + deploy.shadow_minutes * bool(deploy.shadow_percent)


def _targets(deploy: Deploy) -> Iterator[InvalidConfig]:
    for name, targets in OF_TARGETS.items():
        value = getattr(deploy, name)
        if value != DEFAULTS[name] and deploy.target not in targets:
            others = " or ".join(repr(target) for target in targets)
            allowed = f"{DEFAULTS[name]!r} with target {deploy.target!r}"
            yield InvalidConfig(f"deploy.{name}", value, allowed, f"{WHY_NOT[name]} It needs deploy.target {others}.")


def _memory(deploy: Deploy) -> Iterator[InvalidConfig]:
    if deploy.target == "serverless" and (deploy.memory_mb % 1024 or not 1024 <= deploy.memory_mb <= 6144):
        yield InvalidConfig("deploy.memory_mb", deploy.memory_mb, "a multiple of 1024 from 1024 to 6144")


def _rollout(deploy: Deploy) -> Iterator[InvalidConfig]:
    if deploy.rollout != "all":
        yield from _shift(deploy)
    if (minutes := waiting_minutes(deploy)) > LONGEST_MINUTES:
        allowed = f"at most {LONGEST_MINUTES} minutes in all: now {steps(deploy)} steps and the shadow take {minutes}"
        yield InvalidConfig("deploy.bake_minutes", deploy.bake_minutes, allowed, "Take larger steps, or shorter ones.")


def _shift(deploy: Deploy) -> Iterator[InvalidConfig]:
    if deploy.rollout == "linear" and deploy.step_percent < 10:
        yield InvalidConfig("deploy.step_percent", deploy.step_percent, "10 to 50 with rollout 'linear'")
    if deploy.target != "lambda" and deploy.instances < 2:
        fix = "A step is at most half of the instances: take two, or rollout 'all'."
        yield InvalidConfig("deploy.instances", deploy.instances, f"2 or more with rollout {deploy.rollout!r}", fix)
    if deploy.bake_minutes == 0:
        fix = "Alarms need a minute at least to see anything."
        yield InvalidConfig("deploy.bake_minutes", 0, f"1 to 60 with rollout {deploy.rollout!r}", fix)
    if deploy.max_error_percent >= deploy.step_percent:
        fix = "A step that fails wholly fails no more than its share of all requests, so the alarm would never tell."
        allowed = f"below deploy.step_percent = {deploy.step_percent}"
        yield InvalidConfig("deploy.max_error_percent", deploy.max_error_percent, allowed, fix)


def _second_version(deploy: Deploy) -> Iterator[InvalidConfig]:
    if deploy.ab_percent and deploy.rollout != "all":
        fix = "The share of the A/B test is the first step, and a person takes the next one."
        yield InvalidConfig("deploy.rollout", deploy.rollout, "'all' with deploy.ab_percent", fix)


def measures(deploy: Deploy) -> dict[str, float]:
    """Return what the instances are scaled by: each measure with what an instance is to have of it."""
    return {name: float(getattr(deploy, name)) for name in MEASURES if getattr(deploy, name)}


def _scaling(deploy: Deploy) -> Iterator[InvalidConfig]:
    if not deploy.max_instances:
        yield from _without_scaling(deploy)
        return
    least, most = deploy.min_instances, deploy.max_instances
    if not measures(deploy):
        own = " or ".join(f"deploy.{name}" for name in MEASURES if deploy.target in OF_TARGETS[name])
        yield InvalidConfig("deploy.max_instances", most, "0 without anything to scale by", f"Set {own}.")
    if least == 0 and deploy.target != "async":
        fix = "Only an asynchronous endpoint keeps requests while it has no instance; deploy.sleep costs nothing too."
        yield InvalidConfig("deploy.min_instances", 0, f"1 or more with target {deploy.target!r}", fix)
    if not max(least, 1) <= deploy.instances <= most:
        fix = "They are what a version begins with."
        yield InvalidConfig("deploy.instances", deploy.instances, f"{max(least, 1)} to {most}, as scaled", fix)
    if deploy.instance.startswith(BURSTABLE):
        fix = "Application Auto Scaling refuses burstable ones."
        yield InvalidConfig("deploy.instance", deploy.instance, "another type, with deploy.max_instances", fix)
    if deploy.shadow_percent:
        fix = "The champion's instances would not be scaled while the shadow is watched; take a canary instead."
        yield InvalidConfig("deploy.shadow_percent", deploy.shadow_percent, "0 with deploy.max_instances", fix)


def _without_scaling(deploy: Deploy) -> Iterator[InvalidConfig]:
    for name in ("min_instances", *MEASURES):
        if (value := getattr(deploy, name)) != DEFAULTS[name]:
            fix = "Say how many instances there may be at most."
            yield InvalidConfig(f"deploy.{name}", value, f"{DEFAULTS[name]} without deploy.max_instances", fix)


def _sleep(deploy: Deploy) -> Iterator[InvalidConfig]:
    if deploy.sleep and not sleeping.idle_hours(deploy.sleep):
        sleeping.Hours.of(deploy.sleep, deploy.sleep_timezone)
    elif deploy.sleep_timezone != DEFAULTS["sleep_timezone"]:
        fix = "Say when the model sleeps."
        yield InvalidConfig("deploy.sleep_timezone", deploy.sleep_timezone, "'UTC' without hours in deploy.sleep", fix)
