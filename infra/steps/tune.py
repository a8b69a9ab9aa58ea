"""Tune: one SageMaker tuning job searches for settings, or among recipes; the best training job's model is the model.

It is made and looked at through the AWS SDK integration, which takes whatever SageMaker's own API takes. The optimised
one (``createHyperParameterTuningJob.sync``) has five arguments by its documents, TrainingJobDefinitions not among them,
and refuses a field that it does not know (``The field ... is not supported by Step Functions``) in the middle of a run
(https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html). Nobody stops such a job when the
execution ends before it, so ``Settle run`` does.

Its API has no entry point for training jobs, so they run ``names.TUNING_PROGRAM`` in script mode: the toolkit of AWS's
image unpacks the ``code`` channel's own archive (an isolated container reaches no S3) and starts it on every host.
"""

from __future__ import annotations

from typing import Any

from contract import attempts, keys, metrics, names
from infra.asl import State, caught, choice, code, expression, invoke, task, transient, wait, when
from infra.steps import train
from infra.steps.deployment_parts import SAGEMAKER_ERRORS
from infra.steps.parts import Parts, tags
from infra.steps.processing import START_UP

NO_CAPACITY = (
    "/CapacityError|InsufficientInstanceCapacity|InsufficientCapacity|ResourceLimitExceeded"
    "|MaxWaitTimeExceeded|Interrupted/"
)
"""What the jobs' reasons, or the refusal to create the search, say when spot machines were missing to the end: a new
account's quota of spot machines is 0."""

NAME = expression(
    "$join([$run.run, 'tune', $string($states.context.Execution.RedriveCount), "
    "$tune_on_spot ? '0' : '1', $string($states.context.State.RetryCount)], '-')"
)
"""A tuning job's name, at most 32 characters, which no earlier attempt of the run can have had."""

REFUSED = "SageMaker.SageMakerException"
"""SageMaker has made no search; where its answer was lost, there may be one (``processing.CREATE_ERRORS``)."""
FIRST_LOOK, LONGEST_PAUSE = 5, 1800
"""Seconds between two looks at a search: a twentieth of its age within these. Its end is noticed soon, and one of 30
days stays within an execution's 25,000 events."""


def is_wanted(*, one: str, again: str, recipes: str, no: str) -> State:
    """Decide between a search (of one recipe, from an earlier search, among recipes) and a single training job."""
    states = {attempts.TUNE: one, attempts.TUNE_AGAIN: again, attempts.TUNE_RECIPES: recipes}
    return choice(*(when(f"$plan.tune.state = '{name}'", then) for name, then in states.items()), otherwise=no)


def one(parts: Parts, *, then: str, refused: str) -> State:
    """Search the settings of one recipe."""
    return _tune({**_job(), "TrainingJobDefinition": _definition(parts), "Tags": tags()}, then, refused)


def again(parts: Parts, *, then: str, refused: str) -> State:
    """Search the settings of one recipe, with what the project's last search learned."""
    warm = {"WarmStartConfig": "{% $plan.tune.warm_start %}"}
    return _tune({**_job(), "TrainingJobDefinition": _definition(parts), **warm, "Tags": tags()}, then, refused)


def recipes(parts: Parts, *, then: str, refused: str) -> State:
    """Search among recipes and their settings: one definition each, with an objective and ranges of its own."""
    own = {
        "DefinitionName": "{% $d.name %}",
        "TuningObjective": "{% $d.objective %}",
        "HyperParameterRanges": "{% $d.ranges %}",
    }
    each = f"$merge([{code(own)}, {code(_definition(parts, '$d'))}])"
    several = expression(f"[$map($plan.tune.definitions, function($d) {{ {each} }})]")
    return _tune({**_job(), "TrainingJobDefinitions": several, "Tags": tags()}, then, refused)


def _job() -> dict[str, Any]:
    return {"HyperParameterTuningJobName": NAME, "HyperParameterTuningJobConfig": "{% $plan.tune.config %}"}


def _tune(arguments: dict[str, Any], then: str, refused: str) -> State:
    """Make the tuning job. ``refused`` is told why there is none: what a spot quota of 0 refuses has a remedy."""
    made = {
        "job": "{% $split($states.result.HyperParameterTuningJobArn, '/')[-1] %}",
        "status": "InProgress",
        "began": "{% $millis() %}",
    }
    none = {"job": "{% null %}", "status": "Failed", "began": "{% $millis() %}"}
    cause = {"failure": "{% $states.errorOutput.Cause %}"}
    return task(
        "aws-sdk:sagemaker:createHyperParameterTuningJob",
        arguments,
        then=then,
        seconds=60,
        retry=[transient(REFUSED, first=10)],
        assign={"tuning": made, "failure": "", **train.FAILED_IN},
        output=made,
        catch=[caught("States.TaskFailed", then=refused, assign={"tuning": none, **cause, **train.FAILED_IN})],
    )


def pause(*, then: str) -> State:
    """Wait before looking again, the longer the search has been going on."""
    age = "$floor(($millis() - $tuning.began) / 20000)"
    return wait(expression(f"$min([{LONGEST_PAUSE}, $max([{FIRST_LOOK}, {age}])])"), then=then)


def describe(*, then: str) -> State:
    """Look at the tuning job: ``$tuning`` is its name, status and when it began."""
    seen = {
        "job": "{% $states.result.HyperParameterTuningJobName %}",
        "status": "{% $states.result.HyperParameterTuningJobStatus %}",
        "began": "{% $tuning.began %}",
    }
    return task(
        "aws-sdk:sagemaker:describeHyperParameterTuningJob",
        {"HyperParameterTuningJobName": "{% $tuning.job %}"},
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=10)],
        assign={"tuning": seen},
        output={**seen, "jobs": "{% $states.result.TrainingJobStatusCounters %}"},
    )


def is_over(*, yes: str, not_yet: str, too_long: str) -> State:
    """Decide whether the search has ended, or has had its time."""
    overdue = f"$millis() - $tuning.began > 1000 * ($plan.tune.longest_seconds + {START_UP})"
    return choice(
        when(f"$tuning.status = 'InProgress' and {overdue}", too_long),
        when("$tuning.status in ['InProgress', 'Stopping']", not_yet),
        otherwise=yes,
    )


def stop(*, then: str) -> State:
    """Stop the search; the best of the jobs that have finished wins. It may have ended by itself meanwhile."""
    return task(
        "aws-sdk:sagemaker:stopHyperParameterTuningJob",
        {"HyperParameterTuningJobName": "{% $tuning.job %}"},
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=2)],
        output={},
        catch=[caught("SageMaker.SageMakerException", then=then)],
    )


def _definition(parts: Parts, definition: str = "$plan.tune.definitions[0]") -> str:
    """Return the expression of a training job definition without name, objective and ranges.

    Args:
        parts: the surroundings.
        definition: JSONata code of the plan's definition.
    """
    folder = f"{names.DEFAULT_BASE_DIR}/{names.TRAINING_INPUTS}/code/"
    program = {
        "sagemaker_program": names.TUNING_PROGRAM,
        "sagemaker_submit_directory": expression(f"'{folder}' & $split('{parts.code}', '/')[-1]"),
    }
    template = {
        "StaticHyperParameters": expression(f"$merge([{definition}.hyperparameters, {code(program)}])"),
        "AlgorithmSpecification": {
            "TrainingImage": train.image(parts, f"{definition}.recipe"),
            "TrainingInputMode": "File",
            "MetricDefinitions": metrics.definitions(),
        },
        "InputDataConfig": train.inputs(parts),
        "OutputDataConfig": {"S3OutputPath": parts.artifact(keys.TRAIN.rstrip("/")), "KmsKeyId": parts.key},
        "CheckpointConfig": {"S3Uri": parts.artifact(keys.CHECKPOINTS.rstrip("/"))},
        "StoppingCondition": _limits(),
        "Environment": train.idle_gpus(),
        "RetryStrategy": {"MaximumRetryAttempts": attempts.INTERNAL_ERROR_RETRIES},
        "EnableManagedSpotTraining": "{% $tune_on_spot %}",
        "EnableNetworkIsolation": "{% $run.train.isolation = 'on' %}",
        "EnableInterContainerTrafficEncryption": "{% $plan.train.hosts > 1 %}",
        "RoleArn": parts.job_role,
        **parts.network,
    }
    return expression(f"$merge([{code(template)}, {_machines()}])")


def _limits() -> str:
    runtime = "'MaxRuntimeInSeconds': $plan.train.max_runtime_seconds"
    waiting = "'MaxWaitTimeInSeconds': $plan.train.max_wait_seconds"
    return expression(f"$tune_on_spot ? {{{runtime}, {waiting}}} : {{{runtime}}}")


def _machines() -> str:
    """JSONata code: the first type on spot; on demand the whole ladder, a single type in the oldest form."""
    sizes = "'InstanceCount': $plan.train.hosts, 'VolumeSizeInGB': $plan.train.volume_gb"
    first = "$tune_on_spot ? $plan.train.instance : $plan.train.ladder[0]"
    one = f"{{'ResourceConfig': {{'InstanceType': {first}, {sizes}}}}}"
    configs = f"[$plan.train.ladder.({{'InstanceType': $, {sizes}}})]"
    several = f"{{'AllocationStrategy': 'Prioritized', 'InstanceConfigs': {configs}}}"
    whole = f"{{'HyperParameterTuningResourceConfig': {several}}}"
    return f"($tune_on_spot or $count($plan.train.ladder) = 1 ? {one} : {whole})"


def choose_best(parts: Parts, *, then: str) -> State:
    """Call functions/best.py: the best job's model, recipe and settings become the run's; or the reason why not."""
    result = "$states.result.Payload"
    return invoke(
        parts.best,
        {
            "run": "{% $run %}",
            "dataset": "{% $dataset %}",
            "plan": "{% $plan %}",
            "tuning_job": "{% $tuning.job %}",
            "failure": "{% $failure %}",
        },
        then=then,
        seconds=300,
        assign={name: expression(f"{result}.{name}") for name in ("run", "training", "failure")},
        output=expression(f"{result}.{{'training': training, 'failure': failure}}"),
    )


def is_found(*, yes: str, no: str) -> State:
    """Decide whether the search has a model."""
    return choice(when("$training != null", yes), otherwise=no)


def is_capacity_missing(*, yes: str, no: str) -> State:
    """Decide whether the search wants other machines, which it gets on demand, or has a fault that would come again."""
    missing = f"$tune_on_spot and $contains($failure, {NO_CAPACITY})"
    return choice(when(missing, yes, assign={"tune_on_spot": False}), otherwise=no)
