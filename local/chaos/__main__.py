"""The fault lab as a program.

    python -m local.chaos list                                   the faults and the ways
    python -m local.chaos run --fault throttled --route spot     cells of the matrix
    python -m local.chaos run                                    all of it
    python -m local.chaos plan faults.toml                       an upload that meets the faults of a plan
    python -m local.chaos page cells.jsonl                       keeps cells in docs/faults.json

It starts a laptop cloud of its own, deploys the application into it, and says
one line of JSON for each cell. It exits with 1 where a cell is as it should not
be, and with 2 where a plan has a mistake.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contract.errors import nearest
from local.bootstrap import bootstrap
from local.chaos.catalogue import CATALOGUE, Entry
from local.chaos.faults import Fault
from local.chaos.matrix import Cell, applicable, follow, sweep
from local.chaos.plan import BadPlan, read
from local.chaos.results import RESULTS, load, merge, save
from local.chaos.routes import ROUTES, Lab, Route, prepare
from local.chaos.site import Site
from local.clock import Clock
from local.cloud import Cloud

CLOCK_SCALE = 0.02
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
    _check("fault", [name for name in options.fault.split(",") if name], [entry.name for entry in CATALOGUE])
    _check("way", [name for name in [options.route] if name], list(ROUTES))
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, _deployed(Path(folder)) as site:
        lab = prepare(site, Path(folder, "recalled"))
        return _plan(lab, faults) if options.command == "plan" else _run(lab, options)


def _run(lab: Lab, options: argparse.Namespace) -> int:
    wanted = [
        (route, entry)
        for entry in CATALOGUE
        for route in ROUTES.values()
        if not options.fault or entry.name in options.fault.split(",")
        if options.route in ("", route.name)
    ]
    with ThreadPoolExecutor(options.at_once, "sweep") as pool:
        sweeps = [pool.submit(_cells, lab, route, entry, options.state) for route, entry in wanted]
        cells = [cell for each in sweeps for cell in each.result()]
    if not cells:
        raise BadPlan("no execution meets this fault there: the way does not pass the state, or it cannot be there")
    return any(cell.violations for cell in cells)


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that are not known.

    Raises:
        BadPlan: with the nearest.
    """
    for name in given:
        if name not in known:
            raise BadPlan(f"there is no {what} {name!r}; `list` has them. {nearest(name, known)}".rstrip())


def _cells(lab: Lab, route: Route, entry: Entry, state: str) -> list[Cell]:
    states = [name for name in applicable(lab, route, entry) if state in ("", name)]
    _say({"swept": entry.name, "route": route.name})
    cells = []
    for cell in sweep(lab, route, entry, states):
        _say(cell.document)
        cells.append(cell)
    return cells


def _plan(lab: Lab, faults: list[Fault]) -> int:
    cells = list(follow(lab, ROUTES["spot"], faults))
    for cell in cells:
        _say(cell.document)
    return any(cell.violations for cell in cells)


def _list() -> None:
    faults = [{"fault": entry.name, "what": entry.what, "where": entry.where} for entry in CATALOGUE]
    _say({"faults": faults, "routes": list(ROUTES)})


def _say(document: dict[str, Any]) -> None:
    """Say a line, in one write: other sweeps speak at the same time."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


@contextmanager
def _deployed(folder: Path) -> Iterator[Site]:
    """Have the application deployed in a laptop cloud of this process."""
    logging.basicConfig(filename=folder / "cloud.log", level=logging.INFO, force=True)
    with Cloud(root=folder / "cloud", clock=Clock(scale=CLOCK_SCALE)) as cloud:
        bootstrap(cloud)
        _deploy(cloud.environment)
        yield Site(cloud.client)


def _deploy(environment: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # this environment's Node before any other
    apply = [sys.executable, "-m", "infra.apply", "--no-wheels"]
    surroundings: dict[str, Any] = {**os.environ, **environment, "PATH": path}
    subprocess.run(apply, env=surroundings, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.chaos", description="The fault lab.")
    parser.add_argument("command", choices=("list", "run", "plan", "page"))
    parser.add_argument("file", nargs="?", default="", help="of a plan, or of cells")
    parser.add_argument("--fault", default="", help="faults of the list, with commas between; else all")
    parser.add_argument("--route", default="", help="one way; else all")
    parser.add_argument("--state", default="", help="one state; else all that the way passes")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many executions run side by side")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (BadPlan, OSError) as mistake:
        print(mistake, file=sys.stderr)
        raise SystemExit(2) from mistake
