"""The resources that the deployment's states name, and how its states fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.asl import caught

FAILURE = {"error": "{% $states.errorOutput.Error %}", "cause": "{% '' & $states.errorOutput.Cause %}"}
"""Not every error has a cause, and an expression of nothing would end the execution here, its lease still held."""

SAGEMAKER_ERRORS = ("SageMaker.SageMakerException", "SageMaker.SdkClientException")
"""Throttling has no name of its own: it arrives under the first, as validation does."""


@dataclass(frozen=True, kw_only=True)
class DeploymentParts:
    """Everything outside the state machine that the deployment's states name.

    ``ledger`` is a name, all others are ARNs.
    """

    plan: str
    golden: str
    tidy: str
    make_function: str
    shift_traffic: str
    model_role: str
    ledger: str


def on_failure(then: str) -> list[dict[str, Any]]:
    """Return the Catch that remembers the true cause in ``$failure`` and goes on with cleaning up."""
    return [caught("States.ALL", then=then, assign={"failure": FAILURE})]
