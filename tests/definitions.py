"""The state machines' true definitions, with names in place of the resources that they call."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from contract import attempts
from functions.asl import Definition
from infra import deployment, pipeline
from infra.steps.deployment_parts import DeploymentParts
from infra.steps.parts import Parts

PREPARE = "Prepare large dataset"
TRAIN_ON_SPOT = "Train on spot"
TRAIN_ON_DEMAND = "Train on demand"  # may follow Train on spot: a run can pay for both
EVALUATE = "Evaluate"
DEPLOY = "Deploy"  # starts a machine that pays for some targets
PAID = (PREPARE, TRAIN_ON_SPOT, TRAIN_ON_DEMAND, EVALUATE, *attempts.SEARCHES)
"""States that run jobs, by name."""
CALLED = {name: f"arn:aws:lambda:us-east-1:123456789012:function:{name}" for name in ("accept", "plan")}
Some = TypeVar("Some", Parts, DeploymentParts)


def run(**parts: str) -> dict[str, Any]:
    """Return the pipeline's, as JSON data of its own; ``parts`` are what its states name."""
    return json.loads(json.dumps(pipeline.story(_named(Parts, **parts))))


def deploy() -> dict[str, Any]:
    """Return the deployment machine's."""
    return json.loads(json.dumps(deployment.story(_named(DeploymentParts))))


def parsed(machine: dict[str, Any]) -> Definition:
    """Read a pipeline's definition, and the deployment's, which it starts."""
    return Definition.parse(json.dumps(machine), {"<deployment>": json.dumps(deploy())}.__getitem__)


def _named(kind: type[Some], **parts: str) -> Some:
    needed = [each.name for each in dataclasses.fields(kind) if each.default_factory is dataclasses.MISSING]
    filled: dict[str, Any] = {name: CALLED.get(name, f"<{name}>") for name in needed}
    return kind(**{**filled, **parts})
