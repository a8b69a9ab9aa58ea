"""The worst case of a state machine: the dearest way from its start to an end, read from its very definition.

Every state that starts a SageMaker job is priced by its own arguments: the
dearest machines it may get, on demand, for the longest time it may run, as
often as its Retry rules may start it, times the jobs of a search or the items
of a Map. Choices are followed both ways unless what is known decides them, as
are Catches, so that a loop counts as often as its own condition lets it. A loop
that pays without a bound is an error, not a price.

Creating a job is retried freely, because a job that was never created costs
nothing. A training job that SageMaker itself breaks is started again by
SageMaker (``RetryStrategy``) within its own MaxRuntimeInSeconds. What a person
starts again (a redrive) pays again, and is not of this execution.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from contract import attempts
from functions import paid_jobs
from functions.expressions import UNKNOWN, fill, is_known
from functions.paid_jobs import Price

CREATES_JOB = re.compile(r":create\w+Job(\.|$)")
NEVER_CREATED = frozenset(
    {
        "SageMaker.AmazonSageMakerException",
        "SageMaker.SageMakerException",
        "SageMaker.SdkClientException",
    }
)
"""Errors after which there is no job: retrying them costs nothing."""
DEFAULT_ATTEMPTS = 3
"""MaxAttempts of a Retry rule that gives none."""
Variables = dict[str, Any]
Some = TypeVar("Some", bound=Hashable)


class NoBound(Exception):
    """What a definition may cost has no upper bound, or none that can be told before it runs."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A state machine's definition, and how to find its worst case."""

    states: Mapping[str, Mapping[str, Any]]
    start: str

    @classmethod
    def parse(cls, text: str) -> Definition:
        """Read Amazon States Language in JSONata."""
        machine = json.loads(text)
        return cls(states=machine["States"], start=machine["StartAt"])

    def worst(self, known: Mapping[str, Any], *, passing: Passage | None = None) -> list[dict[str, Any]]:
        """Return the dearest way, as lines: a paid state each, with how often it may run and what that costs.

        Args:
            known: variables that are known before, and stay so until the definition itself gives them another
                known value.
            passing: counts only the ways that go through a state while variables have these values.

        Raises:
            NoBound: naming the state.
        """
        return _lines(_Walk(self, known).dearest(passing))

    @functools.cached_property
    def variables(self) -> frozenset[str]:
        """Names of all variables that any state assigns."""
        return self.assigned(at_run_time=True) | self.assigned(at_run_time=False)

    def assigned(self, *, at_run_time: bool) -> frozenset[str]:
        """Return the variables that some state sets to what only running it tells, or else to what is told before."""
        rules = (rule for state in self.states.values() for rule in _rules(state))
        values = (each for rule in rules for each in rule.get("Assign", {}).items())
        return frozenset(name for name, value in values if ("$states" in json.dumps(value)) is at_run_time)

    def reachable(self) -> Definition:
        """Return it without the states that no way from its start leads to."""
        ways = {
            name: [rule[way] for rule in _rules(state) for way in ("Next", "Default") if way in rule]
            for name, state in self.states.items()
        }
        found = _reached(ways, [self.start])
        return replace(self, states={name: state for name, state in self.states.items() if name in found})

    def ends(self, name: str) -> bool:
        """Whether a state ends every execution but a redriven one."""
        return bool(self.states[name].get("Comment") == attempts.ENDS_EXECUTION)


Passage = tuple[str, Mapping[str, Any]]
"""A state, and values of variables there."""
Node = tuple[str, str]
"""A state and, as JSON, what is known there."""


class _Walk:
    """All ways through a definition, as far as what is known leaves them open."""

    def __init__(self, definition: Definition, known: Mapping[str, Any]) -> None:
        self._definition, self._states = definition, definition.states
        reassigned = definition.assigned(at_run_time=False)  # what a node must remember
        self._fixed = {name: value for name, value in known.items() if name not in reassigned}
        moving = {name: value for name, value in known.items() if name not in self._fixed}
        self.first: Node = (definition.start, json.dumps(moving, sort_keys=True))

    def _scope(self, node: Node) -> tuple[Variables, frozenset[str]]:
        known = {**self._fixed, **json.loads(node[1])}
        return known, self._definition.variables - known.keys()

    def dearest(self, passing: Passage | None = None) -> list[tuple[str, Price]]:
        """Return the paid states of the dearest way from the start, in order."""
        after = self._explore()
        if passing:
            after = _through(after, [node for node in after if self._is_at(node, passing)])
        prices = {node: self.price(node[0], node) for node in after}
        total, following = dict.fromkeys(after, 0.0), dict.fromkeys(after, self.first)
        for round_ in range(len(after) + 2):  # the longest paths, by relaxation: without a paid loop they settle
            changed = ""
            for node in reversed(after):
                best = max(after[node], key=lambda each: total[each], default=None)
                usd = prices[node].usd + (total[best] if best else 0.0)
                if usd > total[node] + 1e-9:
                    total[node], changed = usd, node[0]
                    following[node] = best or node
            if not changed:
                break
            if round_ > len(after):
                raise NoBound(f"a loop through the state {changed!r} pays again and again, without a bound")
        return list(_path(self.first, following, prices, total))

    def _is_at(self, node: Node, passing: Passage) -> bool:
        known, _ = self._scope(node)
        return node[0] == passing[0] and all(known.get(name) == value for name, value in passing[1].items())

    def _explore(self) -> dict[Node, list[Node]]:
        after: dict[Node, list[Node]] = {}
        open_ = [self.first]
        while open_:
            node = open_.pop()
            if node not in after:
                after[node] = list(dict.fromkeys(self._next(node)))
                open_ += after[node]
        return after

    def _next(self, node: Node) -> Iterator[Node]:
        state = self._states[node[0]]
        if self._definition.ends(node[0]):
            return
        for rule in self._ways(state, node):
            target = rule.get("Next") or rule.get("Default")
            if target:
                yield target, self._assign(rule, node)

    def _ways(self, state: Mapping[str, Any], node: Node) -> Iterator[Mapping[str, Any]]:
        for rule in state.get("Choices", ()):
            holds = fill(rule["Condition"], *self._scope(node))
            if holds is UNKNOWN or holds:
                yield rule
            if holds is not UNKNOWN and holds:
                return
        yield state
        yield from state.get("Catch", ())

    def _assign(self, rule: Mapping[str, Any], node: Node) -> str:
        """Return what is known after a rule: an unknown value leaves a variable that was given from outside alone."""
        values = fill(rule.get("Assign", {}), *self._scope(node))
        known = json.loads(node[1])
        for name, value in values.items():
            if is_known(value) and name not in self._fixed:
                known[name] = value
            elif name not in json.loads(self.first[1]):
                known.pop(name, None)
        return json.dumps(known, sort_keys=True)

    def price(self, name: str, node: Node) -> Price:
        """Return what one visit to a state may cost.

        Raises:
            NoBound: for a job of an unknown kind, or one whose size only an execution tells.
        """
        state = self._states[name]
        if state["Type"] == "Map":
            return self._map(name, state, node)
        if state["Type"] == "Parallel":
            once = sum((self._inner(branch, node) for branch in state["Branches"]), Price())
            return once * _times(state, free=frozenset())
        if state["Type"] != "Task" or not CREATES_JOB.search(state["Resource"]):
            return Price()
        job = paid_jobs.KINDS.get(state["Resource"].removeprefix("arn:aws:states:::"))
        if job is None:
            raise NoBound(f"state {name!r}: nobody knows the price of {state['Resource']}")
        return self._job(job, name, state, node) * _times(state)

    def _job(self, job: Callable[..., Price], name: str, state: Mapping[str, Any], node: Node) -> Price:
        asked = fill(state["Arguments"], *self._scope(node))
        try:
            return job(asked, name)
        except (KeyError, TypeError) as error:
            raise NoBound(f"state {name!r}: its machines or its longest time are not known before it runs") from error

    def _map(self, name: str, state: Mapping[str, Any], node: Node) -> Price:
        inner = self._inner(state["ItemProcessor"], node)
        if not inner.usd:
            return Price()
        items = fill(state.get("Items", UNKNOWN), *self._scope(node))
        if not isinstance(items, list):
            raise NoBound(f"state {name!r}: how many items it pays for is not known before it runs")
        return inner * (len(items) * _times(state, free=frozenset()))

    def _inner(self, machine: Mapping[str, Any], node: Node) -> Price:
        inner = Definition(states=machine["States"], start=machine["StartAt"])
        known, _ = self._scope(node)
        return sum((price for _, price in _Walk(inner, known).dearest()), Price())


def _through(after: Mapping[Node, list[Node]], some: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return what lies on a way through one of some nodes."""
    before: dict[Node, list[Node]] = {node: [] for node in after}
    for node, following in after.items():
        for each in following:
            before[each].append(node)
    kept = _reached(before, some) | _reached(after, some)
    return {node: [each for each in following if each in kept] for node, following in after.items() if node in kept}


def _reached(graph: Mapping[Some, list[Some]], some: Sequence[Some]) -> set[Some]:
    found, open_ = set(some), list(some)
    while open_:
        fresh = set(graph[open_.pop()]) - found
        found |= fresh
        open_ += fresh
    return found


def _rules(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [state, *state.get("Choices", ()), *state.get("Catch", ())]


def _times(state: Mapping[str, Any], free: frozenset[str] = NEVER_CREATED) -> int:
    """Return how often a visit may pay: once, and again for each retry of an error that is not free.

    No error of a Map or a Parallel is: beside the job that was never created, others may have run.
    """
    paid = [rule for rule in state.get("Retry", ()) if not free.issuperset(rule["ErrorEquals"])]
    return 1 + sum(rule.get("MaxAttempts", DEFAULT_ATTEMPTS) for rule in paid)


def _path(
    first: Node, following: Mapping[Node, Node], prices: Mapping[Node, Price], total: Mapping[Node, float]
) -> Iterator[tuple[str, Price]]:
    node = first
    while total[node] > 0:
        if prices[node].usd:
            yield node[0], prices[node]
        if following[node] == node:
            return
        node = following[node]


def _lines(path: list[tuple[str, Price]]) -> list[dict[str, Any]]:
    """Add visits of the same state to the same machines up."""
    found: dict[tuple[str, Price], Price] = {}
    for state, price in path:
        machines = replace(price, times=0, more=0.0)
        so_far = found.get((state, machines), machines)
        found[state, machines] = replace(machines, times=so_far.times + price.times, more=so_far.more + price.more)
    return [{"state": state, **price.line()} for (state, _), price in found.items()]
