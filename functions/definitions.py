"""The definitions that a run's worst case is read from: its execution's own, and the deployment's, which it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract import names
from functions.asl import Definition
from functions.expressions import Partly
from functions.shared import client, environment


def deployed() -> Definition:
    """Return the pipeline that the next execution runs."""
    return Definition.parse(_of_machine(environment(names.PIPELINE_ARN)), _of_machine)


def of_execution(arn: str) -> Definition:
    """Return the pipeline that an execution runs; what it starts is what is deployed."""
    answer = client("stepfunctions").describe_state_machine_for_execution(executionArn=arn)
    return Definition.parse(answer["definition"], _of_machine)


def _of_machine(arn: str) -> str:
    return str(client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])


def known_of_deployment(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request (RunRequest, as JSON data) decides of the deployment's variables.

    ``Plan deployment`` reads them from the version, whose settings are the request's own.
    """
    return {"deployment": Partly({name: run["deploy"][name] for name in ("target", "batch_instance")})}
