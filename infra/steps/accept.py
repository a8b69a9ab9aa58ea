"""Accept request: an S3 event's or a person's input becomes a full request, ``$run``."""

from __future__ import annotations

from infra.asl import State, choice, invoke, when
from infra.steps.parts import Parts


def request(parts: Parts, *, then: str) -> State:
    """Call functions/accept.py, which fills in every default and pins the upload's versions."""
    return invoke(
        parts.accept,
        {
            "input": "{% $states.input %}",
            "execution": {
                "id": "{% $states.context.Execution.Id %}",
                "name": "{% $states.context.Execution.Name %}",
                "started": "{% $states.context.Execution.StartTime %}",
            },
        },
        then=then,
        seconds=120,
        assign={
            "run_id": "{% $states.result.Payload.run_id %}",
            "run": "{% $states.result.Payload.run %}",
            "outcome": "{% $states.result.Payload.outcome %}",
            "reasons": "{% $states.result.Payload.reasons %}",
            "prepared_in_job": False,
            "evaluations": 0,
        },
    )


def is_accepted(*, yes: str, no: str) -> State:
    """Decide on the ``accepted`` of the document before it: request, dataset report or plan."""
    return choice(when("$states.input.accepted", yes), otherwise=no)
