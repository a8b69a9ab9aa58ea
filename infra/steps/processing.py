"""What the processing jobs (Prepare large dataset, Evaluate) have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract import names
from infra.asl import State, expression, task, transient
from infra.steps.parts import Parts, job_name, tags

CREATE_ERRORS = ("SageMaker.AmazonSageMakerException",)
"""SageMaker refused to create a job, so nothing was paid; throttling and validation share the name. Where nobody heard
of an answer (``SageMaker.SdkClientException``) the job may be there: another attempt would run beside it, and be paid
beside it. The run fails, ``Settle run`` stops what goes on, and ``tandem resume`` goes on."""

START_UP = 3600
"""Seconds that starting machines and moving data may add to a job's own longest time."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines of a job: values of its request, or expressions of them."""

    image: str
    hosts: int | str = 1
    entrypoint: Any = None
    network: Any


def local_input(name: str, uri: str) -> dict[str, Any]:
    """Return a ProcessingInput: everything below ``uri`` in a folder ``name``."""
    return {
        "InputName": name,
        "AppManaged": False,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{names.DEFAULT_BASE_DIR}/{names.PROCESSING_INPUTS}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def processing_job(
    parts: Parts,
    *,
    program: str,
    inputs: Any,
    output: str,
    instance: str,
    volume_gb: str,
    seconds: str,
    environment: dict[str, str],
    then: str,
    assign: dict[str, Any] | None = None,
    cluster: Cluster | None = None,
) -> State:
    """Return the Task that runs one of training's programs, on one isolated machine where no cluster is given.

    Args:
        parts: the surroundings.
        program: ``prepare`` or ``evaluate``.
        inputs: ProcessingInputs.
        output: expression of the S3 address that the program's output folder is copied to.
        instance: JSONata code of the instance type.
        volume_gb: JSONata code of the disk's size.
        seconds: JSONata code of the longest time.
        environment: variables of the container.
        then: the next state.
        assign: variables.
        cluster: what else it may run on.
    """
    cluster = cluster or Cluster(image=parts.cpu_image, network={"EnableNetworkIsolation": True, **parts.network})
    resources = {
        "InstanceType": expression(instance),
        "InstanceCount": cluster.hosts,
        "VolumeSizeInGB": expression(volume_gb),
    }
    arguments = {
        "ProcessingJobName": job_name(program),
        "AppSpecification": {
            "ImageUri": cluster.image,
            "ContainerEntrypoint": cluster.entrypoint or names.container_entrypoint(program, names.PROCESSING_INPUTS),
        },
        "Environment": environment,
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"KmsKeyId": parts.key, "Outputs": [_output(output)]},
        "ProcessingResources": {"ClusterConfig": resources},
        "StoppingCondition": {"MaxRuntimeInSeconds": expression(seconds)},
        "NetworkConfig": cluster.network,
        "RoleArn": parts.job_role,
        "Tags": tags(),
    }
    return task(
        "sagemaker:createProcessingJob.sync",
        arguments,
        then=then,
        seconds=expression(f"{seconds} + {START_UP}"),
        retry=[transient(*CREATE_ERRORS, first=10)],
        assign=assign,
        output={"job": expression(_finished("$states.result"))},
    )


def _finished(job: str) -> str:
    """Return the JSONata code of a job's name, which fails the state where the job did not end by itself.

    A job that was stopped, or ran out of time, counts as a success of the state, and has uploaded nothing. The state
    fails, so that a redrive runs the job again.
    """
    told = f"'The processing job ' & {job}.ProcessingJobName & ' was ' & {job}.ProcessingJobStatus"
    return f"{job}.ProcessingJobStatus = 'Completed' ? {job}.ProcessingJobName : $error({told})"


def _output(uri: str) -> dict[str, Any]:
    local = f"{names.DEFAULT_BASE_DIR}/{names.PROCESSING_OUTPUT}"
    return {
        "OutputName": "output",
        "AppManaged": False,
        "S3Output": {"S3Uri": uri, "LocalPath": local, "S3UploadMode": "EndOfJob"},
    }
