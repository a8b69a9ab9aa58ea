"""Plan compute: what the run will probably cost, what it may cost at worst, and on which machines."""

from __future__ import annotations

from contract import quotas
from infra import asl
from infra.asl import State, choice, expression, invoke, when
from infra.steps.parts import Parts

WAIT_SECONDS = 300


def compute(parts: Parts, *, then: str) -> State:
    """Call functions/plan.py, which refuses a run whose worst case exceeds its budget."""
    return invoke(
        parts.plan,
        {
            **{name: expression(f"${name}") for name in ("run", "dataset", "prepared_in_job")},
            # The worst case is read from this execution's own definition, from here on.
            "execution": "{% $states.context.Execution.Id %}",
            "state": "{% $states.context.State.Name %}",
            "redrives": "{% $states.context.Execution.RedriveCount %}",
            "can_wait": True,
        },
        then=then,
        seconds=quotas.LONGEST_SECONDS,
        assign={
            "plan": "{% $states.result.Payload %}",
            "tune_on_spot": "{% $states.result.Payload.tune.spot = true %}",
            "outcome": "{% $states.result.Payload.outcome %}",
            "reasons": "{% $states.result.Payload.reasons %}",
        },
    )


def is_accepted(*, yes: str, no: str, wait: str) -> State:
    """Decide on the plan: accepted, refused, or not before other runs have given back their machines."""
    return choice(when("$states.input.accepted", yes), when("$states.input.waits != ''", wait), otherwise=no)


def wait(*, then: str) -> State:
    """Let other runs end."""
    return asl.wait(WAIT_SECONDS, then=then)


def use_spot(*, yes: str, no: str) -> State:
    """Decide between managed spot and on-demand."""
    return choice(when("$plan.train.spot", yes), otherwise=no)
