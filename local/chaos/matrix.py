"""The matrix: every fault at every state where it can be, and what became of it.

Where a fault must be survived, or what failed can be redriven, one execution
meets the fault at one state after the other; else each cell has its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from local.chaos import invariants
from local.chaos.catalogue import Entry, Place
from local.chaos.faults import Fault
from local.chaos.lab import LAB, Waiting
from local.chaos.routes import PATIENCE, Lab, Route, new_project
from local.chaos.site import End, Stuck

QUIET_SECONDS = 120.0
SURVIVED, FAILED, STOPPED = "survived", "failed", "stopped"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of a fault at a state.

    Args:
        machine, route, state, fault: which cell.
        end: how the execution ended that met it, before any redrive.
        verdict: ``survived``, ``failed`` or ``stopped``.
        violations: what should not be.
    """

    machine: str
    route: str
    state: str
    fault: str
    end: str
    verdict: str
    violations: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "violations": list(self.violations)}


def places(lab: Lab, route: Route, project: str) -> dict[str, Place]:
    """Return the states of a route's machine."""
    return {
        name: Place(
            site=lab.site,
            state=name,
            definition=definition,
            project=project,
            data=route.upload(lab.site, project),
            live=route.endpoint(lab.site, project),
        )
        for name, definition in lab.site.definition(route.machine)["States"].items()
    }


def applicable(lab: Lab, route: Route, entry: Entry) -> list[str]:
    """Return the states of a route's machine at which a fault can be."""
    return [name for name, place in places(lab, route, "none").items() if entry.make(place)]


def sweep(lab: Lab, route: Route, entry: Entry, states: Iterable[str]) -> Iterator[Cell]:
    """Have a fault at each of ``states`` that the route passes, and yield what became of it."""
    left = list(states)
    together = entry.survived or route.redriven
    while left:
        chosen = left if together else left[:1]
        met = list(_Round(lab, route, entry, chosen).run())
        yield from met
        if not met and together:
            return  # the route passes none of them
        gone = {cell.state for cell in met} or set(chosen)
        left = [state for state in left if state not in gone]


def follow(lab: Lab, route: Route, faults: list[Fault]) -> Iterator[Cell]:
    """Have one execution meet planned faults, with real programs; yield a cell for each of them."""
    project = new_project()
    with LAB.inject(*faults) as waiting:
        execution = route.begin(lab, project)
        end = finish(lab, execution, project)
    wrong = tuple(invariants.violations(lab.site, project))
    for each in waiting:
        struck = [strike.facts for strike in each.strikes]
        yield Cell(
            machine=route.machine,
            route=route.name,
            state=", ".join(next(iter(facts.values())) for facts in struck) or "nowhere",
            fault=type(each.fault).__name__,
            end=str(end),
            verdict=SURVIVED if end.name == route.good else STOPPED if end.status == "ABORTED" else FAILED,
            violations=wrong,
        )


def finish(lab: Lab, execution: str, project: str) -> End:
    """Wait for an execution's end, and until all is as it should be again; stop one that is stuck.

    For a moment after any end it is not: events have to arrive, jobs to stop, endpoints to go.
    """
    try:
        end = lab.site.ended(execution, PATIENCE)
    except Stuck as stuck:
        state = lab.site.visited(execution)[-1]
        stop = lab.site.client("stepfunctions").stop_execution
        stop(executionArn=execution, error="Stuck", cause=str(stuck))
        return End(name="STUCK", status="STUCK", state=state, error=str(stuck))

    def look() -> bool:
        return not invariants.violations(lab.site, project)

    with contextlib.suppress(Stuck):  # the checks say what is wrong
        lab.site.eventually(look, QUIET_SECONDS, project)
    return end


class _Round:
    """One execution, with a fault waiting at some states."""

    def __init__(self, lab: Lab, route: Route, entry: Entry, states: list[str]) -> None:
        self.lab, self.route, self.entry = lab, route, entry
        self.project = new_project()
        found = places(lab, route, self.project)
        self.faults: dict[str, Fault] = {state: _made(entry, found[state]) for state in states}
        self.real = {found[state].job for state in states} if entry.slow else set()
        self.told: set[str] = set()

    def run(self) -> Iterator[Cell]:
        """Run to the end, redriving what may be redriven; yield a cell for each state that was struck."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(LAB.inject(*self.route.recalls(self.lab, self.project, self.real)))
            waiting = {state: LAB.add(fault) for state, fault in self.faults.items()}
            try:
                yield from self._follow(waiting)
            finally:
                for each in waiting.values():
                    LAB.remove(each)

    def _follow(self, waiting: dict[str, Waiting]) -> Iterator[Cell]:
        try:
            execution = self.route.begin(self.lab, self.project)
        except Stuck as stuck:
            yield from self._cells(waiting, End(name="STUCK", status="STUCK", state="", error=str(stuck)))
            return
        cells: list[Cell] = []
        while True:
            end = finish(self.lab, execution, self.project)
            last, cells = cells, list(self._cells(waiting, end))
            yield from cells
            if end.name == self.route.good or end.status in ("STUCK", "SUCCEEDED") or not self.route.redriven:
                return
            if not cells:
                yield from (replace(cell, violations=(f"redriven, it ended {end}",)) for cell in last[-1:])
                return
            for state in self.told:
                LAB.remove(waiting[state])
            self.lab.site.client("stepfunctions").redrive_execution(executionArn=execution)

    def _cells(self, waiting: dict[str, Waiting], end: End) -> Iterator[Cell]:
        """Yield the states that were struck since the last end; of several, the last is what ended it."""
        struck = [state for state, each in waiting.items() if each.strikes and state not in self.told]
        if not struck:
            return
        self.told.update(struck)
        wrong = [*invariants.violations(self.lab.site, self.project), *self._unexpected(end)]
        last = end.state if end.state in struck else struck[-1]
        for state in struck:
            ended = end.name == self.route.good or state != last
            verdict = SURVIVED if ended else STOPPED if end.status == "ABORTED" else FAILED
            yield Cell(
                machine=self.route.machine,
                route=self.route.name,
                state=state,
                fault=self.entry.name,
                end=str(end) if verdict != SURVIVED else self.route.good,
                verdict=verdict,
                violations=tuple(wrong) if state == last else (),
            )

    def _unexpected(self, end: End) -> Iterator[str]:
        if end.status == "STUCK":
            yield f"stuck execution: {end.error}"
        elif self.entry.survived and end.name != self.route.good:
            yield f"unexpected end: {end} instead of {self.route.good}"
        elif end.status == "SUCCEEDED" and end.name not in (self.route.good, "REJECTED", "REFUSED", "KEPT_CHAMPION"):
            yield f"unexpected end: {end}"


def _made(entry: Entry, place: Place) -> Fault:
    fault = entry.make(place)
    assert fault is not None, f"{entry.name} cannot be at {place.state}"
    return fault
