"""Clouds side by side that run cells: orders go in by one queue, what became of them comes out by another."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.bootstrap import bootstrap
from local.chaos.alike import alike
from local.chaos.catalogue import CATALOGUE
from local.chaos.matrix import rehearse, sweep
from local.chaos.round import places
from local.chaos.site import Site
from local.chaos.way import Bench, prepare
from local.chaos.ways import SPOT, WAYS
from local.clock import Clock
from local.cloud import Cloud

CLOCK_SCALE = 0.02
LOOK_SECONDS = 5.0  # between looks whether a cloud is still there
ENTRIES = {entry.name: entry for entry in CATALOGUE}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be done on a way: the cells of a fault at ``states``, or, without a fault, its rehearsal."""

    way: str
    fault: str = ""
    states: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an order.

    Args:
        order: which.
        cells: the documents of its cells.
        states: of a rehearsal: the states that it passed, by fault that can be there.
        alike: of a rehearsal: by fault and state, the fault that the state cannot tell from it.
        failure: why the lab could not do it, or "".
    """

    order: Order
    cells: tuple[dict[str, Any], ...] = ()
    states: dict[str, tuple[str, ...]] = field(default_factory=dict)
    alike: dict[tuple[str, str], str] = field(default_factory=dict)
    failure: str = ""


class Crew:
    """Clouds that work; a context manager.

    Args:
        folder: for their files.
        clouds: how many; a single one is in this process.
        at_once: how many executions run side by side in each.
    """

    def __init__(self, folder: Path, *, clouds: int, at_once: int) -> None:
        self._hands = clouds * at_once
        if clouds == 1:
            self._orders: Any = queue.Queue()
            self._told: Any = queue.Queue()
            make: Any = threading.Thread
        else:
            context = multiprocessing.get_context("spawn")
            self._orders, self._told, make = context.Queue(), context.Queue(), context.Process
        places = [(self._orders, self._told, folder, f"cloud-{number}", at_once) for number in range(clouds)]
        self._clouds = [make(target=serve, args=place) for place in places]

    def __enter__(self) -> Crew:
        for cloud in self._clouds:
            cloud.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._orders.get(timeout=0.1)
        for _hand in range(self._hands):
            self._orders.put(None)
        for cloud in self._clouds:
            cloud.join()

    def do(self, orders: Sequence[Order]) -> Iterator[Outcome]:
        """Yield what became of each order, as they are done.

        Raises:
            RuntimeError: when a cloud is no more.
        """
        for order in orders:
            self._orders.put(order)
        for _ in orders:
            yield self._next()

    def _next(self) -> Outcome:
        while True:
            try:
                told = self._told.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if all(cloud.is_alive() for cloud in self._clouds):
                    continue
                raise RuntimeError("a laptop cloud ended before its work") from None
            if isinstance(told, str):
                raise RuntimeError(told)
            assert isinstance(told, Outcome)
            return told


def serve(orders: Any, told: Any, folder: Path, name: str, at_once: int) -> None:
    """Run a cloud that does what ``orders`` says, until each of its hands got None."""
    try:
        with deployed(folder / name) as site:
            bench = prepare(site, folder / "recalled", SPOT)
            with ThreadPoolExecutor(at_once, "hand") as pool:
                for _ in range(at_once):
                    pool.submit(_work, bench, orders, told)
    except BaseException:
        told.put(f"laptop cloud {name}: {traceback.format_exc()}")
        raise


def _work(bench: Bench, orders: Any, told: Any) -> None:
    for order in iter(orders.get, None):
        try:
            told.put(_do(bench, order))
        except Exception:  # of one order: the others are done all the same
            told.put(Outcome(order=order, failure=traceback.format_exc()))


def _do(bench: Bench, order: Order) -> Outcome:
    way = WAYS[order.way]
    if order.fault:
        cells = sweep(bench, way, ENTRIES[order.fault], order.states)
        return Outcome(order=order, cells=tuple(cell.document for cell in cells))
    passed = rehearse(bench, way)
    met = {state: place for state, place in places(bench, way, "none").items() if state in passed}
    states = {entry.name: tuple(state for state, place in met.items() if entry.make(place)) for entry in CATALOGUE}
    if way.redriven:
        return Outcome(order=order, states=states)
    like = {(fault, state): first for state, place in met.items() for fault, first in alike(place).items()}
    return Outcome(order=order, states=states, alike=like)


@contextmanager
def deployed(folder: Path) -> Iterator[Site]:
    """Have the application deployed in a laptop cloud of this process."""
    folder.mkdir(parents=True)
    logging.basicConfig(filename=folder / "cloud.log", level=logging.INFO, force=True)
    with Cloud(root=folder / "cloud", clock=Clock(scale=CLOCK_SCALE)) as cloud:
        bootstrap(cloud)
        _deploy(cloud.environment)
        yield Site(cloud.client)


def _deploy(environment: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # this environment's Node before any other
    apply = [sys.executable, "-m", "infra.apply", "--no-wheels"]
    add = [sys.executable, "-m", "cli", "tenant", "add", Site.tenant]
    surroundings: dict[str, Any] = {**os.environ, **environment, "PATH": path}
    for command in (apply, add):
        done = subprocess.run(
            command, env=surroundings, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if not done.returncode:
            continue
        raise RuntimeError(f"the application is not deployed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
