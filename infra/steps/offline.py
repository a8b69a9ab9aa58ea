"""The targets ``batch`` and ``edge``: no endpoint, but the version answers as evaluated before it is champion.

Its golden samples are answered by a transform job, which is how it will answer files, and which runs the same
server as an edge bundle does.
"""

from __future__ import annotations

from dataclasses import replace

from contract import batch, keys
from infra.asl import State, choice, expression, invoke, when
from infra.steps import serving, transforms
from infra.steps.deployment_parts import DeploymentParts, on_failure

GOLDEN_SECONDS = 1_800  # 100 samples at most, one after the other; in every run's worst case
GOLDEN = {"golden_uri": "{% $deployment.golden_uri %}", "prefix": "{% $deployment.prefix %}"}


def write_requests(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/golden_files.py: each golden sample becomes an object."""
    return invoke(parts.write_requests, GOLDEN, then=then, seconds=120, output={}, catch=on_failure(failed))


def create_model(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Join the image and the archive, with the role that reads requests and writes answers."""
    return serving.create_model(replace(parts, model_role=parts.transform_role), then=then, failed=failed)


def answer(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Have the model answer the requests, one after the other.

    Where a run deploys, the job has the name of the execution, which begins with the run's: so it is on its bill.
    """
    folder = f"'s3://{parts.artifacts_bucket}/' & $deployment.prefix"
    execution = "$states.context.Execution"
    of_run = f"$exists({execution}.Input.AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID)"
    return transforms.run(
        name=f"({of_run} ? $tenant & '--' & {execution}.Name : $deployment.model_name)",
        model="{% $deployment.model_name %}",
        content_type=batch.JSON,
        requests=expression(f"{folder} & '{keys.BATCH_INPUT}'"),
        answers=expression(f"{folder} & '{keys.BATCH_ANSWERS}'"),
        accept=batch.JSON,
        instance="{% $deployment.batch_instance %}",
        key=parts.key,
        tags="{% $deployment.tags %}",
        seconds=GOLDEN_SECONDS,
        then=then,
        failed=failed,
    )


def are_answered(*, yes: str, no: str) -> State:
    """Decide whether the job ended by itself."""
    return choice(when("$failure = null", yes), otherwise=no)


def check_answers(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/golden_files.py: the answers must be as evaluated."""
    return invoke(parts.check_answers, GOLDEN, then=then, seconds=120, catch=on_failure(failed))


def is_for_edge(*, yes: str, no: str) -> State:
    """Decide whether devices get a bundle."""
    return choice(when("$deployment.target = 'edge'", yes), otherwise=no)


def make_bundle(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Call functions/edge.py: the server with the model, and the recipe of its Greengrass component."""
    made = {"deployment": "{% $deployment %}", "tenant": "{% $tenant %}", "project": "{% $project %}"}
    return invoke(parts.make_bundle, made, then=then, seconds=600, catch=on_failure(failed))
