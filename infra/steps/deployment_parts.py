"""The resources that the deployment's states name, and how its states fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.asl import State, caught, choice, when

FAILURE = {"error": "{% $states.errorOutput.Error %}", "cause": "{% '' & $states.errorOutput.Cause %}"}
"""Not every error has a cause, and an expression of nothing would end the execution here, its lease still held."""

NONE = "{% null %}"  # CDK drops a literal null

SAGEMAKER_ERRORS = ("SageMaker.SageMakerException", "SageMaker.SdkClientException")
"""Throttling has no name of its own: it arrives under the first, as validation does."""

ALL_HEARD, ONE_MORE_UNHEARD = {"unheard": 0}, {"unheard": "{% $unheard + 1 %}"}
"""``$unheard``: how many requests in a row to change an endpoint were not answered; they may have arrived, or not."""


@dataclass(frozen=True, kw_only=True)
class DeploymentParts:
    """Everything outside the state machine that the deployment's states name.

    ``ledger`` and ``artifacts_bucket`` are names, ``network`` is what requests say of subnets, all others are ARNs.
    """

    plan: str
    golden: str
    tidy: str
    make_function: str
    shift_traffic: str
    write_requests: str
    check_answers: str
    make_bundle: str
    model_role: str
    transform_role: str
    key: str
    artifacts_bucket: str
    ledger: str
    network: Mapping[str, Any] = field(default_factory=dict)


def on_refusal(then: str) -> list[dict[str, Any]]:
    """Return the Catch of a creation: which one failed is ``$refused``, because it may be there all the same."""
    refused = {"failure": FAILURE, "refused": "{% $states.context.State.Name %}"}
    return [caught("States.ALL", then=then, assign=refused)]


def was_made_before(following: Mapping[str, str], *, no: str) -> State:
    """Decide whether what could not be created is there already, and go on after it.

    Nobody else creates these names: an earlier attempt did, whose answer was lost.

    Args:
        following: the state after each creation.
        no: where any other failure leads.
    """
    there = "$contains($failure.cause, 'already existing')"
    rules = [when(f"{there} and $refused = '{state}'", then, {"failure": NONE}) for state, then in following.items()]
    return choice(*rules, otherwise=no)


def on_failure(then: str) -> list[dict[str, Any]]:
    """Return the Catch that remembers the true cause in ``$failure`` and goes on with cleaning up."""
    return [caught("States.ALL", then=then, assign={"failure": FAILURE})]
