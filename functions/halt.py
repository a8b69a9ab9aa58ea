"""Fail training: ends the execution with the job's own reason, so that a redrive trains again.

On redrive Step Functions enters the state that failed once more. A Fail state
fails again, for ever; a function can tell that the execution was redriven, and
returns, so that the run goes on with training from its last checkpoint
(https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html).
"""

from __future__ import annotations

from typing import Any

from contract.errors import TrainingFailed
from functions import runs


class TrainingStopped(TrainingFailed):
    """A training job that was stopped, by a person or by its time limit."""


ERRORS = {kind.__name__: kind for kind in (TrainingFailed, TrainingStopped)}


def handler(event: dict[str, Any], context: object) -> None:
    """Fail, unless the execution was redriven since training failed.

    Args:
        event: ``error`` (a name of ERRORS), ``cause``, ``failed_in`` (the
            execution's number of redrives when training failed), ``redrives`` (now);
            ``run``, which executions of earlier definitions do not say.
        context: unused.

    Raises:
        TrainingFailed: or TrainingStopped, with the cause as its text.
    """
    if event["redrives"] == event["failed_in"]:
        why = runs.why_stopped(event["run"], event["cause"]) if "run" in event else ""
        raise ERRORS[event["error"]](": ".join(filter(None, [event["cause"], why])))
