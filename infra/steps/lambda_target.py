"""The target ``lambda``: a version of the project's function, and the alias whose weights move traffic to it."""

from __future__ import annotations

from typing import Any

from contract.errors import EndpointBusy
from infra.asl import State, choice, expression, invoke, transient, wait, when
from infra.steps.deployment_parts import DeploymentParts, on_failure

ASLEEP = "CodeArtifactUserPendingException"
"""A version that nobody called for weeks has its image prepared again ("Lambda function states")."""


def make_version(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/lambda_versions.py; it is called again while Lambda prepares the function."""
    return invoke(
        parts.make_function,
        {"deployment": "{% $deployment %}"},
        then=then,
        seconds=120,
        retry=[transient(EndpointBusy.__name__, first=5, longest=15, times=60)],
        assign={"made": "{% $states.result.Payload %}", "step": 0},
        catch=on_failure(failed),
    )


def check_golden_samples(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/golden.py: the version, which nobody is sent to yet, must answer as it was evaluated."""
    return invoke(
        parts.golden,
        {"endpoint": "{% $made.qualified %}", "golden_uri": "{% $deployment.golden_uri %}"},
        then=then,
        seconds=300,
        retry=[transient(ASLEEP, first=5, longest=15, times=20)],
        catch=on_failure(failed),
    )


def shift(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Take the next step, if the alarms stayed quiet since the last one."""
    return _traffic(parts, back=False, then=then) | {
        "Assign": {"step": "{% $states.result.Payload.step %}"},
        "Catch": on_failure(failed),
    }


def is_all_there(*, yes: str, not_yet: str) -> State:
    """Decide whether the version has all traffic, and was watched with it where the rollout goes in steps."""
    return choice(when("$states.input.done", yes), otherwise=not_yet)


def watch(*, then: str) -> State:
    """Let the alarms see the version answer."""
    return wait("{% $deployment.bake_seconds %}", then=then)


def take_back(parts: DeploymentParts, *, then: str) -> State:
    """Give the champion all its traffic back; should that fail, the end says the first cause all the same."""
    return _traffic(parts, back=True, then=then) | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": then}]}


def _traffic(parts: DeploymentParts, *, back: bool, then: str) -> dict[str, Any]:
    names = ("deployment", "made", "step")
    event = {name: expression(f"${name}") for name in names} | {"back": back}
    return invoke(parts.shift_traffic, event, then=then, seconds=60)
