"""One execution, with a fault waiting at some states; what failed is redriven, until it ends well."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from contract.config import Deploy
from local.chaos import invariants, scenes
from local.chaos.catalogue import Entry, Place
from local.chaos.faults import Fault
from local.chaos.lab import LAB, Waiting
from local.chaos.scenes import PATIENCE
from local.chaos.site import End, Stuck
from local.chaos.way import Bench, Way

QUIET_SECONDS = 60.0
SURVIVED, FAILED, STOPPED, ALIKE = "survived", "failed", "stopped", "alike"
REFUSALS = ("REJECTED", "REFUSED", "KEPT_CHAMPION")
"""Ends of a run that succeeds without a model: what a fault may lead to that changes what the run is about."""
TIDIED = ("deployment", "batch")
"""The machines that make models which a later deployment deletes, where they could not themselves."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of a fault at a state.

    Args:
        machine, way, state, fault: which cell.
        end: how the execution ended that met it, before any redrive.
        verdict: ``survived``, ``failed`` or ``stopped``; ``alike`` where it was not run (local/chaos/alike.py).
        violations: what should not be.
    """

    machine: str
    way: str
    state: str
    fault: str
    end: str
    verdict: str
    violations: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "violations": list(self.violations)}


def places(bench: Bench, way: Way, project: str) -> dict[str, Place]:
    """Return the states of a way's machine."""
    return {
        name: Place(
            site=bench.site,
            state=name,
            definition=definition,
            project=project,
            data=way.upload(bench.site, project),
            live=way.endpoint(bench.site, project),
            hosts=way.hosts,
        )
        for name, definition in bench.site.states(way.machine).items()
    }


def finish(bench: Bench, execution: str, project: str) -> End:
    """Wait for an execution's end, and until all is as it should be again; stop one that is stuck.

    For a moment after any end it is not: events have to arrive, jobs to stop, endpoints to go.
    """
    try:
        end = bench.site.ended(execution, PATIENCE)
    except Stuck as stuck:
        state = bench.site.visited(execution)[-1]
        stop = bench.site.client("stepfunctions").stop_execution
        stop(executionArn=execution, error="Stuck", cause=str(stuck))
        return End(name="STUCK", status="STUCK", state=state, error=str(stuck))

    told: list[str] = []

    def look() -> bool:
        told[:] = itertools.islice(invariants.found(bench.site, project), 1)
        return not told

    def progress() -> list[Any]:
        return [*told, *(bench.site.progress(arn) for arn in bench.site.running(project))]

    with contextlib.suppress(Stuck):  # the checks say what is wrong
        bench.site.eventually(look, QUIET_SECONDS, project, progress=progress)
    return end


class Round:
    """One execution.

    Args:
        states: where the fault waits.
    """

    def __init__(self, bench: Bench, way: Way, entry: Entry, states: list[str]) -> None:
        self.bench, self.way, self.entry = bench, way, entry
        self.project, self.served = bench.take(way)
        found = places(bench, way, self.project)
        self.faults: dict[str, Fault] = {state: _made(entry, found[state]) for state in states}
        self.real = {found[state].job for state in states} if entry.slow else set()
        self.told: set[str] = set()
        self.led = False  # whether the way's own faults struck since the last end, and may have ended it
        self.wrong: list[str] = []
        self.execution, self.end = "", End(name="STUCK", status="STUCK", state="")

    def run(self) -> Iterator[Cell]:
        """Run to the end, redriving what may be redriven; yield a cell for each state that was struck."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(LAB.inject(*self.way.recalls(self.bench.folder, self.project, self.real)))
            waiting = {state: LAB.add(fault) for state, fault in self.faults.items()}
            own = stack.enter_context(LAB.inject(*self.way.faults(self.project)))
            try:
                yield from self._follow(waiting, own)
            finally:
                for each in waiting.values():
                    LAB.remove(each)
        if self.wrong or self.is_good(self.end):
            self.bench.leave(self.project)
        else:
            self.bench.give_back(self.way, self.project, self.served)

    def is_good(self, end: End) -> bool:
        """Say whether an execution ended as if nothing but the way's own faults had been."""
        return self.way.good in (end.name, str(end))

    def _follow(self, waiting: dict[str, Waiting], own: list[Waiting]) -> Iterator[Cell]:
        if self.entry.ticks:
            threading.Thread(target=self._tick, args=(list(waiting.values()),), daemon=True, name="tick").start()
        try:
            self.execution = self.way.begin(self.bench.site, self.project, self.bench.package)
        except Stuck as stuck:
            self.end = End(name="STUCK", status="STUCK", state="", error=str(stuck))
            yield from self._cells(waiting)
            return
        struck = 0
        while True:
            self.end = finish(self.bench, self.execution, self.project)
            before, struck = struck, sum(len(each.strikes) for each in own)
            self.led = self.way.redriven and struck > before
            cells = list(self._cells(waiting))
            yield from cells
            if self.is_good(self.end) or self.end.status in ("STUCK", "SUCCEEDED") or not self.way.redriven:
                self._check_end()
                return
            if not cells and not self.led:
                self._check_end()
                yield from self._redriven_in_vain()
                return
            self.bench.site.client("stepfunctions").redrive_execution(executionArn=self.execution)

    def _tick(self, waiting: list[Waiting]) -> None:
        """Have the daily schedule come once an event is lost."""
        self.bench.site.eventually(lambda: any(each.strikes for each in waiting), PATIENCE, "the event")
        self.bench.site.tick()

    def _check_end(self) -> None:
        self.wrong += invariants.violations(self.bench.site, self.project)

    def _redriven_in_vain(self) -> Iterator[Cell]:
        for state in sorted(self.told)[-1:]:
            yield self._cell(state, FAILED, str(self.end), [f"redriven, it ended {self.end}: {self.end.cause[:300]}"])

    def _cells(self, waiting: dict[str, Waiting]) -> Iterator[Cell]:
        """Yield the states that were struck since the last end; of several, the last is what ended it."""
        struck = [state for state, each in waiting.items() if each.strikes and state not in self.told]
        if not struck:
            return
        self.told.update(struck)
        for state in struck:
            LAB.remove(waiting[state])
        wrong = [*self._violations(), *self._unexpected()]
        self.wrong += wrong
        last = self.end.state if self.end.state in struck else struck[-1]
        for state in struck:
            ended = self.is_good(self.end) or state != last or (self.led and self.entry.survived)
            verdict = SURVIVED if ended else STOPPED if self.end.status == "ABORTED" else FAILED
            end = self.way.good if ended else str(self.end)
            yield self._cell(state, verdict, end, wrong if state == last else [])

    def _violations(self) -> list[str]:
        """Return what should not be. Configurations and models cost nothing: the next deployment may delete them."""
        if self.way.recovers and self.end.status == "FAILED" and not self.is_good(self.end):
            self._start_again()
        wrong = invariants.violations(self.bench.site, self.project)
        if wrong and self.way.machine in TIDIED and all(each.startswith(invariants.FREE) for each in wrong):
            deploy = self.way.begin if self.way.deploys else scenes.deploys(Deploy(target=self.way.target))
            self.bench.site.ended(deploy(self.bench.site, self.project, self.bench.package), PATIENCE)
            wrong = invariants.violations(self.bench.site, self.project)
        return wrong

    def _start_again(self) -> None:
        """Do what docs/runbooks/recovery-failed.md says, now that the cause is gone."""
        failed = self.bench.site.client("stepfunctions").describe_execution(executionArn=self.execution)
        detail = {told: failed[told] for told in ("executionArn", "status", "error", "input")}
        again = self.bench.site.start(self.way.machine, f"{failed['name']}-again", {"detail": detail})
        self.bench.site.ended(again, PATIENCE)

    def _cell(self, state: str, verdict: str, end: str, wrong: list[str]) -> Cell:
        return Cell(
            machine=self.way.machine,
            way=self.way.name,
            state=state,
            fault=self.entry.name,
            end=end,
            verdict=verdict,
            violations=tuple(wrong),
        )

    def _unexpected(self) -> Iterator[str]:
        end, good = self.end, self.is_good(self.end)
        if end.status == "STUCK":
            yield f"stuck execution: {end.error}"
        elif self.entry.survived and not good and not self.led:
            yield f"unexpected end: {end} instead of {self.way.good}: {end.cause[:300]}"
        elif end.status == "SUCCEEDED" and not good and end.name not in REFUSALS:
            yield f"unexpected end: {end}: {end.cause[:300]}"
        elif self.entry.proof and not re.search(self.entry.proof, end.cause):
            yield f"nothing says that it was this: {end}: {end.cause[:300]}"


def _made(entry: Entry, place: Place) -> Fault:
    fault = entry.make(place)
    assert fault is not None, f"{entry.name} cannot be at {place.state}"
    return fault
