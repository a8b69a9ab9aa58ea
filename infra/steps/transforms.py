"""Transform jobs: a folder of requests in S3 is answered into another one, by machines that are there for it alone."""

from __future__ import annotations

from contract import batch, names
from infra.asl import State, caught, expression, task, transient
from infra.steps.deployment_parts import FAILURE
from infra.steps.processing import CREATE_ERRORS

STOPPED = "Stopped"
"""Error of what a person or a time limit ended."""
START_UP = 1_800  # machines, image, model


def run(
    *,
    name: str,
    model: str,
    content_type: str,
    requests: str,
    answers: str,
    accept: str,
    instance: str,
    key: str,
    tags: str,
    seconds: int,
    then: str,
    failed: str,
) -> State:
    """Answer each object of a folder, as one request.

    A job that was stopped is no error of its state: ``$failure`` says so, and is null where all went well.

    Args:
        name: JSONata code of the job's name, which gets a part of its own for each attempt: none is taken twice.
        model: the model's name.
        content_type: of the requests.
        requests: S3 address of their folder.
        answers: S3 address of the folder of their answers, each named as its request with ``.out`` behind.
        accept: content type of the answers.
        instance: type of the machine.
        key: ARN of the key that encrypts the answers.
        tags: of the job.
        seconds: that answering may take; then the job is stopped, for it has no limit of its own.
        then: the next state.
        failed: the state after a job that failed; ``$failure`` is why.
    """
    attempt = "'-' & $states.context.Execution.RedriveCount & '-' & $states.context.State.RetryCount"
    return task(
        "sagemaker:createTransformJob.sync",
        {
            "TransformJobName": expression(f"{name} & {attempt}"),
            "ModelName": model,
            "MaxConcurrentTransforms": 1,
            "MaxPayloadInMB": batch.MAX_PAYLOAD_MB,
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": 3600, "InvocationsMaxRetries": 1},
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": requests}},
                "ContentType": content_type,
                "SplitType": "None",
            },
            "TransformOutput": {"S3OutputPath": answers, "Accept": accept, "AssembleWith": "None", "KmsKeyId": key},
            "TransformResources": {"InstanceType": instance, "InstanceCount": 1},
            "Tags": tags,
        },
        then=then,
        seconds=seconds + START_UP,
        retry=[transient(*CREATE_ERRORS, first=10, times=3)],
        assign={"failure": _stopped()},
        output={"job": "{% $states.result.TransformJobName %}"},
        catch=[caught("States.ALL", then=failed, assign={"failure": _failure()})],
    )


def _failure() -> dict[str, str]:
    """What SageMaker says of the job, where the cause is its description, and where more is told."""
    cause = "('' & $states.errorOutput.Cause)"  # an error may have none
    job = f"$parse({cause})"
    said = f"{job}.FailureReason & ' (log group {names.TRANSFORM_LOGS}, streams ' & {job}.TransformJobName & '/...)'"
    code = f"$substring({cause}, 0, 1) = '{{' ? ($exists({job}.FailureReason) ? {said} : {cause}) : {cause}"
    return {**FAILURE, "cause": expression(code)}


def _stopped() -> str:
    stopped = f"{{'error': '{STOPPED}', 'cause': 'The transform job was stopped.'}}"
    return expression(f"$states.result.TransformJobStatus = 'Completed' ? null : {stopped}")
