"""What the rest of a run may cost: from the state where its execution stopped, by the definition that it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contract import attempts
from contract.histories import Stopped
from functions.worst_case import Definition

State = Mapping[str, Any]


def worst_usd(definition: Definition, stopped: Stopped) -> float:
    """Return the most that a redrive may still pay for, in US dollars; 0 before Plan compute, which will see to it.

    Raises:
        NoBound: when that cannot be told before it runs.
    """
    if not stopped.variables.get("plan"):
        return 0.0
    rest = Definition(states=definition.states, start=_first(definition.states, stopped.state))
    lines = rest.worst(_lasting(rest, stopped.variables))
    return round(sum(line["usd"] for line in lines), 4)


def _first(states: Mapping[str, State], name: str) -> str:
    """Return the state that a redrive really goes on with: one that only ended the execution lets it pass."""
    while states[name].get("Comment") == attempts.ENDS_EXECUTION:
        name = states[name]["Next"]
    return name


def _lasting(rest: Definition, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that no state from here on sets to what only running it tells."""
    fresh = {
        name
        for state in _reachable(rest.states, rest.start)
        for rule in _rules(rest.states[state])
        for name, value in rule.get("Assign", {}).items()
        if "$states" in str(value)
    }
    return {name: value for name, value in variables.items() if name not in fresh}


def _reachable(states: Mapping[str, State], start: str) -> set[str]:
    found, open_ = {start}, [start]
    while open_:
        rules = _rules(states[open_.pop()])
        fresh = {rule[way] for rule in rules for way in ("Next", "Default") if way in rule} - found
        found |= fresh
        open_ += fresh
    return found


def _rules(state: State) -> Iterator[Mapping[str, Any]]:
    yield state
    yield from state.get("Choices", ())
    yield from state.get("Catch", ())
