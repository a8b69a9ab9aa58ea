"""What the rest of a run may cost: from the state where its execution stopped, by the definition that it runs."""

from __future__ import annotations

from dataclasses import replace

from contract.histories import Stopped
from functions import definitions
from functions.asl import Definition
from functions.worst_case import worst

AS_PLANNED = frozenset({"run", "plan"})
"""Variables that the worst case was planned with: a search's best settings in ``run`` change no price."""


def worst_usd(definition: Definition, stopped: Stopped) -> float:
    """Return the most that a redrive may still pay for, in US dollars; 0 before Plan compute, which will see to it.

    Raises:
        NoBound: when that cannot be told before it runs.
    """
    if not stopped.variables.get("plan"):
        return 0.0
    rest = replace(definition, start=_first(definition, stopped.state))
    fresh = rest.reachable().assigned(at_run_time=True) - AS_PLANNED
    known = {name: value for name, value in stopped.variables.items() if name not in fresh}
    lines = worst(rest, known, below=definitions.known_of_deployment(stopped.variables["run"]))
    return round(sum(line["usd"] for line in lines), 4)


def _first(definition: Definition, name: str) -> str:
    """Return the state that a redrive really goes on with: one that only ended the execution lets it pass."""
    while definition.ends(name):
        name = definition.states[name]["Next"]
    return name
