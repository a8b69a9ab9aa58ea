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
from local.chaos.round import FAILED, STOPPED, SURVIVED, Cell, Round, finish
from local.chaos.site import Stuck
from local.chaos.way import Bench, Way


def rehearse(bench: Bench, way: Way) -> list[str]:
    """Go a way without any fault but its own; return the states that it passes.

    Raises:
        Stuck: when it ends otherwise than it should.
    """
    trial = Round(bench, way, Entry(name="none", what="", where="", make=lambda place: None), [])
    list(trial.run())
    if trial.wrong or not trial.is_good(trial.end):
        raise Stuck(f"without a fault, {way.name!r} ends {trial.end}, not {way.good}: {trial.end.cause} {trial.wrong}")
    return list(dict.fromkeys(bench.site.visited(trial.execution)))


def sweep(bench: Bench, way: Way, entry: Entry, states: Iterable[str]) -> Iterator[Cell]:
    """Have a fault at each of ``states`` that the way passes, and yield what became of it.

    Raises:
        Stuck: when an execution of its own met no fault at its state.
    """
    left = list(states)
    together = entry.survived or way.redriven
    while left:
        chosen = left if together else left[:1]
        met = list(Round(bench, way, entry, chosen).run())
        yield from met
        if not met and together:
            return  # the way passes none of them
        if not met:
            raise Stuck(f"{way.name!r} did not pass {left[0]!r} again: {entry.name} met nobody")
        gone = {cell.state for cell in met}
        left = [state for state in left if state not in gone]


def follow(bench: Bench, way: Way, faults: list[Fault]) -> Iterator[Cell]:
    """Have one execution meet planned faults, with real programs; yield a cell for each of them."""
    project, _ = bench.take(way)
    with LAB.inject(*faults) as waiting:
        execution = way.begin(bench.site, project, bench.package)
        end = finish(bench, execution, project)
    wrong = tuple(invariants.violations(bench.site, project))
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
