"""Tune: one SageMaker tuning job searches for settings, or among recipes; the best training job's model is the model.

Its API has no entry point for training jobs, so they run ``names.TUNING_PROGRAM`` in script mode: the toolkit of AWS's
image unpacks the ``code`` channel's own archive (an isolated container reaches no S3) and starts it on every host.
"""

from __future__ import annotations

from typing import Any

from contract import attempts, keys, metrics, names
from infra.asl import State, caught, choice, code, expression, invoke, task, transient, when
from infra.steps import train
from infra.steps.parts import Parts, tags
from infra.steps.processing import CREATE_ERRORS, START_UP

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

RESULT = {
    "job": "{% $states.result.HyperParameterTuningJobName %}",
    "status": "{% $states.result.HyperParameterTuningJobStatus %}",
}


def is_wanted(*, one: str, again: str, recipes: str, no: str) -> State:
    """Decide between a search (of one recipe, from an earlier search, among recipes) and a single training job."""
    states = {attempts.TUNE: one, attempts.TUNE_AGAIN: again, attempts.TUNE_RECIPES: recipes}
    return choice(*(when(f"$plan.tune.state = '{name}'", then) for name, then in states.items()), otherwise=no)


def one(parts: Parts, *, then: str) -> State:
    """Search the settings of one recipe."""
    return _tune({**_job(), "TrainingJobDefinition": _definition(parts), "Tags": tags()}, then)


def again(parts: Parts, *, then: str) -> State:
    """Search the settings of one recipe, with what the project's last search learned."""
    warm = {"WarmStartConfig": "{% $plan.tune.warm_start %}"}
    return _tune({**_job(), "TrainingJobDefinition": _definition(parts), **warm, "Tags": tags()}, then)


def recipes(parts: Parts, *, then: str) -> State:
    """Search among recipes and their settings: one definition each, with an objective and ranges of its own."""
    own = {
        "DefinitionName": "{% $d.name %}",
        "TuningObjective": "{% $d.objective %}",
        "HyperParameterRanges": "{% $d.ranges %}",
    }
    each = f"$merge([{code(own)}, {code(_definition(parts, '$d'))}])"
    several = expression(f"[$map($plan.tune.definitions, function($d) {{ {each} }})]")
    # All in one expression: Step Functions documents TrainingJobDefinition alone, and a literal name that it does not
    # know would be refused with the whole state machine (see train.py's ladder).
    return _tune(expression(code({**_job(), "TrainingJobDefinitions": several, "Tags": tags()})), then)


def _job() -> dict[str, Any]:
    return {"HyperParameterTuningJobName": NAME, "HyperParameterTuningJobConfig": "{% $plan.tune.config %}"}


def _tune(arguments: Any, then: str) -> State:
    """Wait for the tuning job; ``then`` is told of one that failed, too, and finds out why."""
    # Not parsed: a description of many recipes is longer than the text that Step Functions keeps of it.
    cause, named = "$states.errorOutput.Cause", r'/"HyperParameterTuningJobName"\s*:\s*"([^"]+)"/'
    found = f"$match({cause}, {named}, 1)[0].groups[0]"
    failed = {"job": expression(f"$contains({cause}, {named}) ? {found} : null"), "status": "Failed"}
    return task(
        "sagemaker:createHyperParameterTuningJob.sync",
        arguments,
        then=then,
        seconds=expression(f"$plan.tune.longest_seconds + {START_UP}"),
        retry=[transient(*CREATE_ERRORS, first=10)],
        assign={"tuning": RESULT, "failure": "", **train.FAILED_IN},
        output=RESULT,
        catch=[
            caught(
                "States.TaskFailed",
                then=then,
                assign={"tuning": failed, "failure": "{% $states.errorOutput.Cause %}", **train.FAILED_IN},
            )
        ],
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
        "RetryStrategy": {"MaximumRetryAttempts": attempts.INTERNAL_ERROR_RETRIES},
        "EnableManagedSpotTraining": "{% $tune_on_spot %}",
        "EnableNetworkIsolation": "{% $run.train.isolation = 'on' %}",
        "EnableInterContainerTrafficEncryption": "{% $plan.train.hosts > 1 %}",
        "RoleArn": parts.job_role,
    }
    return expression(f"$merge([{code(template)}, {_machines()}])")


def _limits() -> str:
    runtime = "'MaxRuntimeInSeconds': $plan.train.max_runtime_seconds"
    waiting = "'MaxWaitTimeInSeconds': $plan.train.max_wait_seconds"
    return expression(f"$tune_on_spot ? {{{runtime}, {waiting}}} : {{{runtime}}}")


def _machines() -> str:
    """JSONata code: the first type on spot; on demand the whole ladder, a single type in the oldest form."""
    sizes = "'InstanceCount': $plan.train.hosts, 'VolumeSizeInGB': $plan.train.volume_gb"
    one = f"{{'ResourceConfig': {{'InstanceType': $plan.train.instance, {sizes}}}}}"
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
