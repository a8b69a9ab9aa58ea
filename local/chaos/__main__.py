"""The fault lab as a program.

    python -m local.chaos list                                   the faults and the ways
    python -m local.chaos run --fault throttled --way spot       cells of the matrix
    python -m local.chaos run --clouds 2                         all of it, on two laptop clouds
    python -m local.chaos plan faults.toml                       an upload that meets the faults of a plan
    python -m local.chaos page cells.jsonl                       keeps cells in docs/faults.json

It starts laptop clouds of its own, deploys the application into them, and says
one line of JSON for each cell. It exits with 1 where a cell is as it should not
be, and with 2 where a plan has a mistake.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from contract.errors import nearest
from local.chaos.catalogue import CATALOGUE
from local.chaos.crew import ENTRIES, Crew, Order, Outcome, deployed
from local.chaos.faults import Fault
from local.chaos.matrix import follow
from local.chaos.plan import BadPlan, read
from local.chaos.results import RESULTS, load, merge, save
from local.chaos.round import ALIKE
from local.chaos.way import prepare
from local.chaos.ways import SPOT, WAYS

AT_ONCE = 3


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; return the exit status."""
    options = _parse(arguments)
    if options.command == "list":
        _list()
        return 0
    if options.command == "page":
        cells = [json.loads(line) for line in Path(options.file).read_text().splitlines()]
        save(RESULTS, merge(load(RESULTS), cells))
        return 0
    faults = read(Path(options.file).read_text()) if options.command == "plan" else []
    _check("fault", _split(options.fault), list(ENTRIES))
    _check("way", _split(options.way), list(WAYS))
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        if options.command == "plan":
            return _plan(Path(folder), faults)
        with Crew(Path(folder), clouds=options.clouds, at_once=options.at_once) as crew:
            return _run(crew, options)


def _run(crew: Crew, options: argparse.Namespace) -> int:
    """Rehearse the ways, then have the faults at the states that they pass."""
    ways = _split(options.way) or list(WAYS)
    passed = {each.order.way: each for each in crew.do([Order(way=way) for way in ways])}
    bad = sum(_say_outcome(each) for each in passed.values())
    orders = list(_orders(passed, options))
    if not orders and not bad:
        raise BadPlan("no execution meets this fault there: the way does not pass the state, or it cannot be there")
    rehearsed = [way for way, each in passed.items() if not each.failure]
    for way, fault in itertools.product(rehearsed, _split(options.fault) or ENTRIES):  # also where it can be nowhere
        _say({"swept": fault, "way": way, "states": _split(options.state)})
    told, left = [], []
    for order in orders:
        first = passed[order.way].alike.get((order.fault, order.states[0])) if len(order.states) == 1 else None
        if first:
            told.append(_alike(order, first))
        else:
            left.append(order)
    left.sort(key=lambda order: not ENTRIES[order.fault].survived)  # those first that pass many states at once
    return bool(bad + sum(_say_outcome(each) for each in itertools.chain(told, crew.do(left))))


def _alike(order: Order, first: str) -> Outcome:
    """Return the cell of a fault that a state cannot tell from another one."""
    (state,) = order.states
    told = {"machine": WAYS[order.way].machine, "way": order.way, "state": state, "fault": order.fault}
    return Outcome(order=order, cells=({**told, "end": f"as {first!r}", "verdict": ALIKE, "violations": []},))


def _orders(passed: dict[str, Outcome], options: argparse.Namespace) -> Iterator[Order]:
    """Yield what is to be done; with ``--new``, states that an earlier way of the machine has met are left out."""
    met = _kept(passed) if options.new else {}
    for way in (each for each in WAYS.values() if each.name in passed):
        for fault, states in passed[way.name].states.items():
            known = met.setdefault((way.machine, fault), {})
            left = [each for each in states if known.setdefault(each, way.name) == way.name or not options.new]
            chosen = tuple(each for each in left if each in (_split(options.state) or left))
            if fault not in (_split(options.fault) or ENTRIES):
                continue
            if ENTRIES[fault].survived or way.redriven:
                yield Order(way=way.name, fault=fault, states=chosen)
            else:
                yield from (Order(way=way.name, fault=fault, states=(each,)) for each in chosen)


def _kept(passed: dict[str, Outcome]) -> dict[tuple[str, str], dict[str, str]]:
    """Return which way met a state with a fault, of those ways that this run leaves alone."""
    met: dict[tuple[str, str], dict[str, str]] = {}
    for way, faults in load(RESULTS).items():
        if way in WAYS and way not in passed:
            for fault, states in faults.items():
                met.setdefault((WAYS[way].machine, fault), {}).update(dict.fromkeys(states, way))
    return met


def _split(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that are not known.

    Raises:
        BadPlan: with the nearest.
    """
    for name in given:
        if name not in known:
            raise BadPlan(f"there is no {what} {name!r}; `list` has them. {nearest(name, known)}".rstrip())


def _plan(folder: Path, faults: list[Fault]) -> int:
    with deployed(folder / "cloud") as site:
        cells = list(follow(prepare(site, folder / "recalled", SPOT), SPOT, faults))
    for cell in cells:
        _say(cell.document)
    return any(cell.violations for cell in cells)


def _list() -> None:
    faults = [{"fault": entry.name, "what": entry.what, "where": entry.where} for entry in CATALOGUE]
    _say({"faults": faults, "ways": list(WAYS)})


def _say_outcome(outcome: Outcome) -> bool:
    """Say the cells of an order; return whether anything is as it should not be."""
    for cell in outcome.cells:
        _say(cell)
    if outcome.failure:
        print(f"{outcome.order}: {outcome.failure}", file=sys.stderr)
    return bool(outcome.failure) or any(cell["violations"] for cell in outcome.cells)


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.chaos", description="The fault lab.")
    parser.add_argument("command", choices=("list", "run", "plan", "page"))
    parser.add_argument("file", nargs="?", default="", help="of a plan, or of cells")
    parser.add_argument("--fault", default="", help="faults of the list, with commas between; else all")
    parser.add_argument("--way", default="", help="ways of the list, with commas between; else all")
    parser.add_argument("--state", default="", help="states, with commas between; else all that the way passes")
    parser.add_argument("--new", action="store_true", help="only states that no earlier way of the machine meets")
    parser.add_argument("--clouds", type=int, default=1, help="how many laptop clouds")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many executions run side by side in each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (BadPlan, OSError) as mistake:
        print(mistake, file=sys.stderr)
        raise SystemExit(2) from mistake
