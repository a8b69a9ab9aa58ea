"""Prepare dataset: the upload becomes a dataset, in Lambda when small, in a processing job when large."""

from __future__ import annotations

import json

from contract import keys, names
from infra.asl import State, caught, choice, code, expression, invoke, task, transient, when
from infra.steps.parts import Parts, report
from infra.steps.processing import Cluster, local_input, processing_job
from infra.steps.script import IS_SCRIPT

S3_ERRORS = ("S3.SdkClientException", "S3.S3Exception")
OUTGROWN = (
    "States.Timeout", "Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory", "Lambda.Unknown",
    "MemoryError", "OSError",  # Python's own: no memory for one more array, no space left on the disk
)  # fmt: skip
"""How Lambda's time-out, its memory and its disk limit arrive; which name, has changed over the years."""
IS_EMBEDDED = "$run.prepare.engine = 'embedded'"
MIB = 1_048_576
GB = 1_000_000_000


def is_small(*, yes: str, no: str) -> State:
    """Compare the upload's size with the project's limit for Lambda; a script's files are only counted."""
    small = f"$run.upload.bytes <= $run.prepare.lambda_limit_mb * {MIB}"
    return choice(when(f"{IS_SCRIPT} or ({small} and {IS_EMBEDDED})", yes), otherwise=no)


def small(parts: Parts, *, then: str, outgrown: str) -> State:
    """Prepare in Lambda: training/prepare.py, which writes the dataset and its report.

    A small file can unpack to a large table: what outgrows Lambda's time or
    memory is prepared in a job.
    """
    return invoke(
        parts.prepare,
        "{% $run %}",
        then=then,
        seconds=900,
        output={},
        catch=[caught(*OUTGROWN, then=outgrown)],
    )


def large(parts: Parts, *, then: str) -> State:
    """Prepare in a processing job: the same training/prepare.py, the same outputs."""
    return processing_job(
        parts,
        program="prepare",
        inputs=[
            local_input("code", parts.code),
            local_input("wheels", parts.wheels),
            local_input("request", parts.artifact(keys.REQUEST)),
            local_input("upload", parts.artifact(keys.UPLOAD)),
            local_input("salt", expression(f"'s3://{parts.data_bucket}/' & $run.tenant & '{keys.salt('')}'")),
        ],
        output=expression(f"'s3://{parts.artifacts_bucket}/' & $run.prefix"),
        instance="$run.prepare.instance",
        volume_gb=f"30 + $ceil($run.upload.bytes / {GB}) * 5",  # the upload, unpacked, its shards and quarantine
        seconds="$run.prepare.max_minutes * 60",
        environment={},
        then=then,
        assign={"prepared_in_job": True},
        cluster=_cluster(parts),
    )


def _cluster(parts: Parts) -> Cluster:
    """One machine without a network, or a Spark cluster, whose machines talk to each other, encrypted."""

    def either(embedded: str, spark: str) -> str:
        return expression(f"{IS_EMBEDDED} ? {embedded} : {spark}")

    entrypoints = [
        json.dumps(names.container_entrypoint(name, names.PROCESSING_INPUTS)) for name in ("prepare", "spark")
    ]
    isolated = code({"EnableNetworkIsolation": True, **parts.network})
    several = expression("$run.prepare.hosts > 1")
    encrypted = code(
        {"EnableNetworkIsolation": False, "EnableInterContainerTrafficEncryption": several, **parts.network}
    )
    return Cluster(
        image=either(f"'{parts.cpu_image}'", f"'{parts.spark_image}'"),
        hosts="{% $run.prepare.hosts %}",
        entrypoint=either(*entrypoints),
        network=either(isolated, encrypted),
    )


def read_report(parts: Parts, *, then: str) -> State:
    """Read dataset_report.json, which says whether training may go on."""
    return task(
        "aws-sdk:s3:getObject",
        report(parts.artifacts_bucket, keys.DATASET_REPORT),
        then=then,
        seconds=60,
        retry=[transient(*S3_ERRORS)],
        assign={
            "dataset": "{% $parse($states.result.Body) %}",
            "outcome": "{% $parse($states.result.Body).outcome %}",
            "reasons": "{% $parse($states.result.Body).reasons %}",
        },
        output="{% $parse($states.result.Body).{'accepted': accepted, 'reasons': reasons, 'rows': rows} %}",
    )
