"""Register model and Deploy: the challenger becomes a version, and then the champion."""

from __future__ import annotations

from contract import attempts
from contract.run import DeploymentStatus, Outcome
from infra.asl import State, choice, expression, invoke, task, transient, when
from infra.steps.parts import Parts, job_name

START_ERRORS = (
    "StepFunctions.AWSStepFunctionsException",  # throttling, too
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.SdkClientException",
)


def register(parts: Parts, *, then: str) -> State:
    """Call functions/register.py: model package, card and lineage."""
    return invoke(
        parts.register,
        {
            "run": "{% $run %}",
            "evaluation": "{% $evaluation %}",
            "training_job": "{% $training.name %}",
            "training_image": "{% $training.image %}",
            "code_uri": parts.code,
            "image_tag": parts.image_tag,  # that was looked for or built, whatever a next release serves with
        },
        then=then,
        seconds=120,
        assign={"package": "{% $states.result.Payload %}"},
    )


def deploy(parts: Parts, *, then: str, seconds: int) -> State:
    """Run the deployment machine, and wait for it."""
    return task(
        "states:startExecution.sync:2",
        {
            "StateMachineArn": parts.deployment,
            "Name": job_name("deploy"),
            "Input": {
                "tenant": "{% $run.tenant %}",
                "project": "{% $run.project %}",
                "run": "{% $run.run %}",
                "package_arn": "{% $package.package_arn %}",
                "expected_champion": "{% $champion = null ? '' : $champion.package_arn %}",
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "{% $states.context.Execution.Id %}",
            },
        },
        then=then,
        seconds=seconds,
        retry=[transient(*START_ERRORS)],
        output="{% $states.result.Output %}",
    )


def is_deployed(*, yes: str, again: str, give_up: str) -> State:
    """Decide what to do when another run changed the champion meanwhile: evaluate again, a few times."""
    deployed = {"outcome": Outcome.DEPLOYED.value}
    told = "'It answers a share of requests beside the champion, until `tandem promote` or `tandem rollback` decides.'"
    beside = {"reasons": expression(f"$append($reasons, [{told}])")}
    return choice(
        when(f"$states.input.status = '{DeploymentStatus.DEPLOYED}'", yes, assign=deployed),
        when(f"$states.input.status = '{DeploymentStatus.CHALLENGING}'", yes, assign=deployed | beside),
        when(f"$evaluations < {attempts.EVALUATIONS}", again),
        otherwise=give_up,
    )


def keeps_changing() -> State:
    """End the execution: other runs of the project are always faster."""
    count = attempts.EVALUATIONS
    cause = (
        f"The champion changed during each of {count} evaluations, because other runs of the project were faster. "
        "Submit the upload again when they are done."
    )
    return {"Type": "Fail", "Error": "ChampionKeepsChanging", "Cause": cause}
