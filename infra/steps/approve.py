"""Approve: a version waits until a person has looked at it, where the project wants that.

The registry's ModelApprovalStatus is the one truth: whoever changes it (console, Studio, command line, the page
behind the notification's link), its event releases the run.
"""

from __future__ import annotations

from contract import packages
from contract.run import Outcome
from infra.asl import LAMBDA_ERRORS, State, caught, choice, expression, task, transient, when
from infra.steps.deployment_parts import SAGEMAKER_ERRORS
from infra.steps.parts import Parts

VERSION = "'version ' & $string($package.version)"


def is_wanted(*, yes: str, no: str) -> State:
    """Decide on ``gate.approve``."""
    return choice(when("$run.gate.approve = 'manual'", yes), otherwise=no)


def wait(parts: Parts, *, then: str, expired: str) -> State:
    """Call functions/ask.py, which tells people; functions/decide.py answers for them.

    ``$approval`` is what they said: ``{"status", "note"}``.
    """
    return task(
        "lambda:invoke.waitForTaskToken",
        {
            "FunctionName": parts.ask,
            "Payload": {
                "token": "{% $states.context.Task.Token %}",
                "run": "{% $run %}",
                "package": "{% $package %}",
                "reasons": "{% $evaluation.verdict.reasons %}",
            },
        },
        then=then,
        seconds="{% $run.gate.approve_hours * 3600 %}",
        retry=[transient(*LAMBDA_ERRORS)],
        assign={"approval": "{% $states.result %}"},
        catch=[caught("States.Timeout", then=expired)],
    )


def is_approved(*, yes: str, no: str) -> State:
    """Decide on what people said; what they rejected ends the run well, with the champion in its place."""
    said = VERSION + " & ' was rejected' & ($approval.note = '' ? '' : ': ' & $approval.note)"
    return choice(
        when(f"$approval.status = '{packages.APPROVED}'", yes),
        otherwise=no,
        assign={"outcome": Outcome.KEPT_CHAMPION.value, "reasons": [expression(said)]},
    )


def expire(*, then: str) -> State:
    """Reject what nobody looked at in time, so that a later approval does not promise what no run would do."""
    note = "'nobody approved it within ' & $string($run.gate.approve_hours) & ' hours'"
    return task(
        "aws-sdk:sagemaker:updateModelPackage",
        {
            "ModelPackageArn": "{% $package.package_arn %}",
            "ModelApprovalStatus": packages.REJECTED,
            "ApprovalDescription": expression(note),
        },
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, "SageMaker.ConflictException")],  # somebody decides at this very moment
        assign={
            "outcome": Outcome.KEPT_CHAMPION.value,
            "reasons": [expression(f"{VERSION} & ': ' & {note}")],
        },
        output={},
    )
