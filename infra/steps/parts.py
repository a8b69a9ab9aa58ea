"""The resources that the states name, and the expressions that several states share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract import names
from infra.asl import expression


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything outside the state machine that the pipeline's states name.

    Functions, the machine and the role are ARNs; buckets, the table, the
    image's repository, tag and CodeBuild project names; ``code`` and ``wheels``
    S3 addresses; the ``..._image`` URIs in the registry of AWS's
    Deep Learning Containers; ``network`` what requests say of subnets, if anything.
    """

    accept: str
    prepare: str
    plan: str
    best: str
    halt: str
    judge: str
    register: str
    ask: str
    settle: str
    deployment: str
    job_role: str
    data_bucket: str
    artifacts_bucket: str
    ledger: str
    key: str
    code: str
    wheels: str
    cpu_image: str
    gpu_image: str
    spark_image: str
    tensorflow_cpu_image: str
    tensorflow_gpu_image: str
    image_repository: str
    image_tag: str
    image_build: str
    network: Mapping[str, Any] = field(default_factory=dict)

    def artifact(self, path: str) -> str:
        """Return the expression of the S3 address of ``path`` below the run's prefix.

        A folder to read keeps its last slash: an S3 prefix without it would
        match its neighbours too (``upload`` matches ``upload.json``).
        """
        return expression(f"'s3://{self.artifacts_bucket}/' & $run.prefix & '{path}'")


def job_name(step: str) -> str:
    """Return the expression of a job's name, which no earlier attempt can have had.

    SageMaker never takes a name twice: the numbers count the execution's
    redrives, the run's evaluations and the state's retries.
    """
    counts = (
        "$string($states.context.Execution.RedriveCount)",
        "$string($evaluations)",
        "$string($states.context.State.RetryCount)",
    )
    return expression(f"$join([$run.run, '{step}', {', '.join(counts)}], '-')")


def tags() -> list[dict[str, str]]:
    """Return the tags of a job, as :func:`contract.names.tags` has them."""
    return names.tags("{% $run.tenant %}", "{% $run.project %}", "{% $run.run %}")


def report(bucket: str, path: str) -> dict[str, Any]:
    """Return the arguments that read a JSON document below the run's prefix."""
    return {"Bucket": bucket, "Key": expression(f"$run.prefix & '{path}'")}
