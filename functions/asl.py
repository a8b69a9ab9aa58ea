"""Amazon States Language as its readers need it: which state leads where, what it sets, and whether it may cost."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from contract import attempts

CREATES_JOB = re.compile(r":create\w+Job(\.|$)")
STARTS_MACHINE = re.compile(r":startExecution(\.|$)")
State = Mapping[str, Any]
Some = TypeVar("Some", bound=Hashable)
Read = Callable[[str], str]
"""Returns the definition of the machine with this ARN."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A state machine's definition; ``started`` are those of the machines that it starts, by ARN."""

    states: Mapping[str, State]
    start: str
    started: Mapping[str, Definition] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, read: Read) -> Definition:
        """Read Amazon States Language in JSONata, and the definitions of the machines that its states start."""
        machine = json.loads(text)
        arns = {each["Arguments"]["StateMachineArn"] for each in machine["States"].values() if starts_machine(each)}
        started = {arn: cls.parse(read(arn), read) for arn in sorted(arns)}
        return cls(states=machine["States"], start=machine["StartAt"], started=started)

    @functools.cached_property
    def variables(self) -> frozenset[str]:
        """Names of all variables that any state assigns."""
        return self.assigned(at_run_time=True) | self.assigned(at_run_time=False)

    def assigned(self, *, at_run_time: bool) -> frozenset[str]:
        """Return the variables that some state sets to what only running it tells, or else to what is told before."""
        every = (rule for state in self.states.values() for rule in rules(state))
        values = (each for rule in every for each in rule.get("Assign", {}).items())
        return frozenset(name for name, value in values if ("$states" in json.dumps(value)) is at_run_time)

    def reachable(self) -> Definition:
        """Return it without the states that no way from its start leads to."""
        found = reached(self._ways, [self.start])
        return replace(self, states={name: state for name, state in self.states.items() if name in found})

    def leading_to(self, some: Set[str]) -> set[str]:
        """Return the states from which some way leads to one of these."""
        return reached(turned(self._ways), [name for name in self.states if name in some])

    @functools.cached_property
    def paid(self) -> set[str]:
        """Names of the states that may cost something."""
        return {name for name, state in self.states.items() if _may_pay(state)}

    @property
    def _ways(self) -> dict[str, list[str]]:
        return {
            name: [rule[way] for rule in rules(state) for way in ("Next", "Default") if way in rule]
            for name, state in self.states.items()
        }

    def ends(self, name: str) -> bool:
        """Whether a state ends every execution but a redriven one."""
        return bool(self.states[name].get("Comment") == attempts.ENDS_EXECUTION)


def starts_machine(state: State) -> bool:
    """Whether a state starts an execution of another machine."""
    return bool(STARTS_MACHINE.search(state.get("Resource", "")))


def _may_pay(state: State) -> bool:
    inner = [*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else ())]
    starts = starts_machine(state) or CREATES_JOB.search(state.get("Resource", ""))
    return bool(starts) or any(_may_pay(each) for machine in inner for each in machine["States"].values())


def turned(graph: Mapping[Some, list[Some]]) -> dict[Some, list[Some]]:
    """Return a graph with its arrows the other way."""
    before: dict[Some, list[Some]] = {node: [] for node in graph}
    for node, following in graph.items():
        for each in following:
            before[each].append(node)
    return before


def reached(graph: Mapping[Some, list[Some]], some: Sequence[Some]) -> set[Some]:
    """Return some nodes of a graph, and all to which a way leads from them."""
    found, open_ = set(some), list(some)
    while open_:
        fresh = set(graph[open_.pop()]) - found
        found |= fresh
        open_ += fresh
    return found


def rules(state: State) -> list[State]:
    """Return what has a Next and an Assign of its own: the state, and the rules of its Choices and Catches."""
    return [state, *state.get("Choices", ()), *state.get("Catch", ())]
