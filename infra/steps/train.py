"""Train: distributed training, first on managed spot, then on demand from the last checkpoint.

Spot and InstancePreferences exclude each other in one request, so there are two states.
"""

from __future__ import annotations

from typing import Any

from contract import attempts, keys, metrics, names
from contract.frameworks import TENSORFLOW
from contract.recipes import load_recipes
from infra.asl import State, caught, choice, code, expression, invoke, task, transient, when
from infra.steps import script
from infra.steps.parts import Parts, job_name, tags
from infra.steps.prepare import S3_ERRORS
from infra.steps.processing import CREATE_ERRORS, START_UP

NO_CAPACITY = (
    "/CapacityError|InsufficientInstanceCapacity|InsufficientCapacity|ResourceLimitExceeded"
    '|"SecondaryStatus":"(MaxWaitTimeExceeded|Interrupted)"/'
)
"""What a job's FailureReason, its description, or the refusal to create it says when spot machines are missing."""

FAILED_IN = {"failed_in": "{% $states.context.Execution.RedriveCount %}"}
"""Remembers, with a failure, during which redrive it came."""

ROWS_MODE = "{% $run.train.input_mode = 'fastfile' ? 'FastFile' : 'File' %}"

ONE_TYPE = (
    "{'InstanceType': $plan.train.instance, 'InstanceCount': $plan.train.hosts, "
    "'VolumeSizeInGB': $plan.train.volume_gb}"
)

RESULT = {
    "name": "{% $states.result.TrainingJobName %}",
    "status": "{% $states.result.TrainingJobStatus %}",
    "secondary_status": "{% $states.result.SecondaryStatus %}",
    "model": "{% $exists($states.result.ModelArtifacts) ? $states.result.ModelArtifacts.S3ModelArtifacts : null %}",
    "image": "{% $states.result.AlgorithmSpecification.TrainingImage %}",
}


def on_spot(parts: Parts, *, then: str, failed: str) -> State:
    """Train on managed spot: cheaper, may be interrupted, resumes by itself while it may wait."""
    resources = expression(_or_groups(ONE_TYPE))
    limits = {"MaxWaitTimeInSeconds": "{% $plan.train.max_wait_seconds %}"}
    arguments = _arguments(parts, "spot", resources, limits) | {"EnableManagedSpotTraining": True}
    return task(
        "sagemaker:createTrainingJob.sync",
        arguments,
        then=then,
        seconds=expression(f"$plan.train.max_wait_seconds + {START_UP}"),
        retry=[transient(*CREATE_ERRORS, first=10)],
        assign={"training": RESULT},
        output=RESULT,
        catch=[caught("States.TaskFailed", then=failed, assign={"failure": true_cause(), **FAILED_IN})],
    )


def is_capacity_missing(*, yes: str, no: str) -> State:
    """Decide whether the failed spot job wants other machines, or has a fault that they would repeat."""
    return choice(when(f"$contains($failure, {NO_CAPACITY})", yes), otherwise=no)


def did_spot_finish(*, yes: str, no: str, unfinished: str) -> State:
    """Decide what to do with a spot job that ended: a job that ran out of spot is Stopped, not Failed."""
    return choice(
        when("$training.status = 'Completed'", yes),
        when("$training.secondary_status in ['MaxWaitTimeExceeded', 'Interrupted']", unfinished),
        otherwise=no,
        assign=_stopped(),
    )


def on_demand(parts: Parts, *, then: str) -> State:
    """Train on the first type of the ladder that has capacity; the checkpoints of spot are its start."""
    return task(
        "sagemaker:createTrainingJob.sync",
        _arguments(parts, "train", _ladder(), {}),
        then=then,
        seconds=expression(f"$plan.train.max_runtime_seconds + {START_UP}"),
        retry=[transient(*CREATE_ERRORS, first=10)],
        assign={"training": RESULT},
        output=RESULT,
    )


def did_finish(*, yes: str, no: str) -> State:
    """Decide whether the job ended by itself: one that ran out of time is Stopped, not Failed."""
    return choice(when("$training.status = 'Completed'", yes), otherwise=no, assign=_stopped())


def failed(parts: Parts, *, redriven: str) -> State:
    """End the execution with the job's own FailureReason; a redrive trains again."""
    return _halt(parts, "TrainingFailed", redriven)


def stopped(parts: Parts, *, redriven: str) -> State:
    """End the execution; the cause names the job's secondary status; a redrive trains again."""
    return _halt(parts, "TrainingStopped", redriven)


def _halt(parts: Parts, error: str, redriven: str) -> State:
    """Call functions/halt.py: a Fail state would be entered again by a redrive, and fail again."""
    event = {
        "run": "{% $run.run %}",
        "error": error,
        "cause": "{% $failure %}",
        "failed_in": "{% $failed_in %}",
        "redrives": FAILED_IN["failed_in"],
    }
    return invoke(parts.halt, event, then=redriven, seconds=60) | {"Comment": attempts.ENDS_EXECUTION}


def check_artefact(parts: Parts, *, then: str) -> State:
    """Check that the model is there: a job that wrote none and exited with 0 is Completed all the same."""
    return task(
        "aws-sdk:s3:headObject",
        {
            "Bucket": parts.artifacts_bucket,
            "Key": expression(f"$substringAfter($training.model, 's3://{parts.artifacts_bucket}/')"),
        },
        then=then,
        seconds=60,
        retry=[transient(*S3_ERRORS)],
        output={"model": "{% $training.model %}", "bytes": "{% $states.result.ContentLength %}"},
    )


def _ladder() -> str:
    """Every type of the ladder where there are several; a single one is asked for in the oldest form.

    Step Functions knows the fields of its optimised integrations by a list of its own, and refuses a whole
    definition for a literal one that is younger than the list. Within an expression, a young field can fail only
    the run that wants it.
    """
    one = ONE_TYPE.replace("$plan.train.instance", "$plan.train.ladder[0]")  # the first may be spot's alone
    preference = "{'InstanceType': $, 'InstanceCount': $plan.train.hosts}"
    several = f"{{'InstancePreferences': [$plan.train.ladder.({preference})], 'VolumeSizeInGB': $plan.train.volume_gb}}"
    return expression(_or_groups(f"$count($plan.train.ladder) > 1 ? {several} : {one}"))


def _or_groups(machines: str) -> str:
    """The instance groups of a cluster of several types, where the plan has them; else ``machines``."""
    groups = "{'InstanceGroups': [$plan.train.groups], 'VolumeSizeInGB': $plan.train.volume_gb}"
    return f"$count($plan.train.groups) > 0 ? {groups} : ({machines})"


def _arguments(parts: Parts, step: str, resources: Any, limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "TrainingJobName": job_name(step),
        "AlgorithmSpecification": _unless_script(_algorithm(parts), script.algorithm(image(parts))),
        "HyperParameters": _unless_script(_hyperparameters(), "$run.script.hyperparameters"),
        "InputDataConfig": _unless_script(inputs(parts), script.channels(parts)),
        "Environment": _environment(),
        "OutputDataConfig": {"S3OutputPath": parts.artifact(keys.TRAIN.rstrip("/")), "KmsKeyId": parts.key},
        "CheckpointConfig": {"S3Uri": parts.artifact(keys.CHECKPOINTS.rstrip("/"))},
        # No VolumeKmsKeyId: types with local NVMe (g4dn, g5, p4d) refuse it; those disks are encrypted in hardware.
        "ResourceConfig": resources,
        "StoppingCondition": {"MaxRuntimeInSeconds": "{% $plan.train.max_runtime_seconds %}", **limits},
        "RetryStrategy": {"MaximumRetryAttempts": attempts.INTERNAL_ERROR_RETRIES},
        "EnableNetworkIsolation": "{% $run.train.isolation = 'on' %}",
        "EnableInterContainerTrafficEncryption": "{% $plan.train.hosts > 1 %}",
        "RoleArn": parts.job_role,
        **parts.network,
        "Tags": tags(),
    }


def _environment() -> str:
    return expression(f"$merge([{script.IS_SCRIPT} ? $run.script.environment : {{}}, {code(idle_gpus())}])")


def idle_gpus() -> dict[str, str]:
    """Return the variables by which functions/idle_gpus.py knows what a job's run allows."""
    return {
        names.MIN_GPU_PERCENT: "{% $string($run.train.min_gpu_percent) %}",
        names.IDLE_GPU_MINUTES: "{% $string($run.train.idle_gpu_minutes) %}",
    }


def _unless_script(ours: Any, theirs: str) -> str:
    """Return the expression of our own part of a request, or of a script's."""
    return expression(f"{script.IS_SCRIPT} ? {theirs} : {code(ours)}")


def _algorithm(parts: Parts) -> dict[str, Any]:
    return {
        "TrainingImage": image(parts),
        "TrainingInputMode": "File",
        "ContainerEntrypoint": names.container_entrypoint("train", names.TRAINING_INPUTS),
        "MetricDefinitions": metrics.definitions(),
    }


def inputs(parts: Parts) -> str:
    """Return the expression of a training job's channels; ``champion`` is there where the plan begins with it."""
    always = [
        channel("code", parts.code),
        channel("wheels", parts.wheels),
        channel("train", parts.artifact(f"{keys.DATASET}train/"), ROWS_MODE),
        channel("validation", parts.artifact(f"{keys.DATASET}validation/"), ROWS_MODE),
        channel("schema", parts.artifact(keys.DATASET_SCHEMA)),
    ]
    champion = [channel("champion", "{% $plan.train.start %}")]
    return expression(f"$append({code(always)}, $plan.train.start = '' ? [] : {code(champion)})")


def image(parts: Parts, recipe: str = "$run.recipe.name") -> str:
    """The recipe's framework's; the CUDA one when any type that may be chosen has a GPU: families g* and p*."""
    types = "$append([$plan.train.instance], $plan.train.ladder)"
    gpus = f"$count($filter({types}, function($type) {{ $contains($type, /^ml[.][gp][0-9]/) }})) > 0"
    keras = [name for name, recipe in load_recipes().items() if recipe.framework == TENSORFLOW]
    tensorflow = f"{gpus} ? '{parts.tensorflow_gpu_image}' : '{parts.tensorflow_cpu_image}'"
    torch = f"{gpus} ? '{parts.gpu_image}' : '{parts.cpu_image}'"
    return expression(f"{recipe} in {keras} ? ({tensorflow}) : ({torch})")


def _hyperparameters() -> str:
    """Every setting of [train] as a string (lists as JSON), the recipe's name and its options as JSON."""
    as_text = "function($value, $name) { {$name: $type($value) = 'string' ? $value : $string($value)} }"
    recipe = "{'recipe': $run.recipe.name, 'options': $string($run.recipe.options)}"
    return expression(f"$merge($append([{recipe}], $each($run.train, {as_text})))")


def channel(name: str, uri: str, mode: str = "File") -> dict[str, Any]:
    """Return a channel; every host gets all objects, because the hosts share each batch, whatever shards it is from."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": mode}


def true_cause() -> str:
    """The job's FailureReason; a job that could not be created has none, so then the refusal itself."""
    cause = "$states.errorOutput.Cause"
    return expression(f"$contains({cause}, '\"FailureReason\"') ? $parse({cause}).FailureReason : {cause}")


def _stopped() -> dict[str, str]:
    return FAILED_IN | {
        "failure": expression(
            "'The training job ' & $training.name & ' was ' & $training.status & ': ' & $training.secondary_status"
        )
    }
