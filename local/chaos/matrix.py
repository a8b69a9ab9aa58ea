"""The matrix: every fault at every state where it can be, and what became of it.

Where a fault must be survived, or what failed can be redriven, one execution
meets the fault at one state after the other; else each cell has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from local.chaos import invariants
from local.chaos.catalogue import Entry
from local.chaos.faults import Fault
from local.chaos.lab import LAB
from local.chaos.round import FAILED, STOPPED, SURVIVED, Cell, Round, finish, places
from local.chaos.site import Stuck
from local.chaos.way import Lab, Way


def applicable(lab: Lab, way: Way, entry: Entry) -> list[str]:
    """Return the states of a way's machine at which a fault can be."""
    return [name for name, place in places(lab, way, "none").items() if entry.make(place)]


def rehearse(lab: Lab, way: Way) -> list[str]:
    """Go a way without any fault but its own; return the states that it passes.

    Raises:
        Stuck: when it ends otherwise than it should.
    """
    trial = Round(lab, way, Entry(name="none", what="", where="", make=lambda place: None), [])
    list(trial.run())
    if trial.wrong or not trial.is_good(trial.end):
        raise Stuck(f"without a fault, {way.name!r} ends {trial.end}, not {way.good}: {trial.end.cause} {trial.wrong}")
    return list(dict.fromkeys(lab.site.visited(trial.execution)))


def sweep(lab: Lab, way: Way, entry: Entry, states: Iterable[str]) -> Iterator[Cell]:
    """Have a fault at each of ``states`` that the way passes, and yield what became of it."""
    left = list(states)
    together = entry.survived or way.redriven
    while left:
        chosen = left if together else left[:1]
        met = list(Round(lab, way, entry, chosen).run())
        yield from met
        if not met and together:
            return  # the way passes none of them
        gone = {cell.state for cell in met} or set(chosen)
        left = [state for state in left if state not in gone]


def follow(lab: Lab, way: Way, faults: list[Fault]) -> Iterator[Cell]:
    """Have one execution meet planned faults, with real programs; yield a cell for each of them."""
    project, _ = lab.take(way)
    with LAB.inject(*faults) as waiting:
        execution = way.begin(lab.site, project, lab.package)
        end = finish(lab, execution, project)
    wrong = tuple(invariants.violations(lab.site, project))
    for each in waiting:
        struck = [strike.facts for strike in each.strikes]
        yield Cell(
            machine=way.machine,
            way=way.name,
            state=", ".join(next(iter(facts.values())) for facts in struck) or "nowhere",
            fault=type(each.fault).__name__,
            end=str(end),
            verdict=SURVIVED if end.name == way.good else STOPPED if end.status == "ABORTED" else FAILED,
            violations=wrong,
        )
