"""Settle run: every good end passes here; failures reach the same handler by an EventBridge rule."""

from __future__ import annotations

from infra.asl import State, expression, invoke
from infra.steps.parts import Parts


def run(parts: Parts) -> State:
    """Call functions/settle.py: actual cost, ledger, report, event."""
    return invoke(
        parts.settle,
        {
            **{name: expression(f"${name}") for name in ("run_id", "outcome", "reasons")},
            "redrives": "{% $states.context.Execution.RedriveCount %}",
        },
        then=None,
        seconds=300,
        output={"run": "{% $run_id %}", "outcome": "{% $outcome %}", "reasons": "{% $reasons %}"},
    )
