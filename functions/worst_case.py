"""The worst case of a state machine: the dearest way from its start to an end, read from its very definition.

Every state that starts a SageMaker job is priced by its own arguments: the
dearest machines it may get, on demand, for the longest time it may run, as
often as its Retry rules may start it, times the jobs of a search or the items
of a Map. A state that starts another machine costs the worst case of that
machine's definition. Choices are followed both ways unless what is known
decides them, as are Catches, so that a loop counts as often as its own
condition lets it. A loop that pays without a bound is an error, not a price.

Creating a job is retried freely, because a job that was never created costs
nothing. A training job that SageMaker itself breaks is started again by
SageMaker (``RetryStrategy``) within its own MaxRuntimeInSeconds. What a person
starts again (a redrive) pays again, and is not of this execution.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from functions import paid_jobs
from functions.asl import CREATES_JOB, Definition, reached, starts_machine, turned
from functions.expressions import UNKNOWN, Partly, fill, is_known
from functions.paid_jobs import Price

NEVER_CREATED = frozenset(
    {
        "SageMaker.AmazonSageMakerException",
        "SageMaker.SageMakerException",
        "StepFunctions.AWSStepFunctionsException",
        "StepFunctions.ExecutionLimitExceededException",
        "StepFunctions.SdkClientException",
    }
)
"""Errors after which there is no job, or execution: retrying them costs nothing."""
MOST_NODES = 20_000
"""States, each with what is known there, that are looked at: a loop that counts without a known end has no last one."""
DEFAULT_ATTEMPTS = 3
"""MaxAttempts of a Retry rule that gives none."""
Variables = dict[str, Any]


class NoBound(Exception):
    """What a definition may cost has no upper bound, or none that can be told before it runs."""


Passage = tuple[str, Mapping[str, Any]]
"""A state, and values of variables there."""
Node = tuple[str, str]
"""A state and, as JSON, what is known there."""


def worst(
    definition: Definition,
    known: Mapping[str, Any],
    *,
    below: Mapping[str, Any] | None = None,
    passing: Passage | None = None,
) -> list[dict[str, Any]]:
    """Return the dearest way, as lines: a paid state each, with how often it may run and what that costs.

    Args:
        definition: of the machine.
        known: variables that are known before, and stay so until the definition itself gives them another
            known value.
        below: the same, in the machines that this one starts.
        passing: counts only the ways that go through a state while variables have these values.

    Raises:
        NoBound: naming the state.
    """
    return _lines(_Walk(definition, known, below or {}).dearest(passing))


class _Walk:
    """All ways through a definition, as far as what is known leaves them open."""

    def __init__(self, definition: Definition, known: Mapping[str, Any], below: Mapping[str, Any]) -> None:
        self._definition, self._states, self._below = definition, definition.states, below
        self._telling = definition.leading_to(definition.paid)
        reassigned = definition.assigned(at_run_time=False)  # what a node must remember
        self._fixed = {name: value for name, value in known.items() if name not in reassigned}
        moving = {name: value for name, value in known.items() if name not in self._fixed}
        self.first: Node = (definition.start, json.dumps(moving, sort_keys=True))

    def _scope(self, node: Node) -> tuple[Variables, frozenset[str]]:
        here = Partly({"context": Partly({"State": Partly({"Name": node[0]})})})
        known = {**self._fixed, **json.loads(node[1]), "states": here}
        return known, self._definition.variables - known.keys()

    def dearest(self, passing: Passage | None = None) -> list[tuple[str, Price]]:
        """Return the paid states of the dearest way from the start, in order."""
        if passing:
            self._telling |= self._definition.leading_to({passing[0]})
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
            if len(after) > MOST_NODES:
                raise NoBound(f"how often the state {node[0]!r} may be entered is not known before it runs")
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
            if target in self._telling:
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
        if starts_machine(state):
            return self._machine(name, state) * _times(state)
        if state["Type"] != "Task" or not CREATES_JOB.search(state["Resource"]):
            return Price()
        job = paid_jobs.KINDS.get(state["Resource"].removeprefix("arn:aws:states:::"))
        if job is None:
            raise NoBound(f"state {name!r}: nobody knows the price of {state['Resource']}")
        return self._job(job, name, state, node) * _times(state)

    def _job(self, job: Callable[..., Price], name: str, state: Mapping[str, Any], node: Node) -> Price:
        scope = self._scope(node)
        try:
            longest = {paid_jobs.STATE_SECONDS: fill(state.get("TimeoutSeconds", UNKNOWN), *scope)}
            return job({**fill(state["Arguments"], *scope), **longest}, name)
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

    def _machine(self, name: str, state: Mapping[str, Any]) -> Price:
        """Return what an execution of another machine may cost; of its variables, no others than ``below`` are known.

        Raises:
            NoBound: for a machine whose definition was not read.
        """
        arn = state["Arguments"]["StateMachineArn"]
        if arn not in self._definition.started:
            raise NoBound(f"state {name!r}: nobody knows the definition of {arn}")
        return _whole(_Walk(self._definition.started[arn], self._below, self._below))

    def _inner(self, machine: Mapping[str, Any], node: Node) -> Price:
        inner = replace(self._definition, states=machine["States"], start=machine["StartAt"])
        known, _ = self._scope(node)
        return _whole(_Walk(inner, known, self._below))


def _whole(walk: _Walk) -> Price:
    return sum((price for _, price in walk.dearest()), Price())


def _through(after: Mapping[Node, list[Node]], some: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return what lies on a way through one of some nodes."""
    kept = reached(turned(after), some) | reached(after, some)
    return {node: [each for each in following if each in kept] for node, following in after.items() if node in kept}


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
