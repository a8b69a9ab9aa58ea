"""What became of the matrix's cells: kept as JSON, shown as a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from local.chaos.catalogue import CATALOGUE
from local.chaos.matrix import FAILED, STOPPED, SURVIVED
from local.chaos.routes import ROUTES

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "faults.json"
MARKS = {SURVIVED: "✓", FAILED: "!", STOPPED: "■"}
Results = dict[str, dict[str, dict[str, Any]]]
"""Route -> fault -> state -> ``{"verdict", "end", "violations"}``; a fault that was met nowhere has no states."""


def merge(results: Results, told: Iterable[dict[str, Any]]) -> Results:
    """Return results with sweeps in the place of earlier ones.

    Args:
        results: what is kept.
        told: the documents of a run: for each sweep one that says so (``{"swept", "route"}``), then its cells.
    """
    merged = {route: dict(faults) for route, faults in results.items()}
    for document in told:
        if "swept" in document:
            merged.setdefault(document["route"], {})[document["swept"]] = {}
        else:
            cell = {name: document[name] for name in ("verdict", "end", "violations")}
            merged[document["route"]][document["fault"]][document["state"]] = cell
    return merged


def load(path: Path) -> Results:
    """Return what is kept; nothing where there is no file."""
    found: Results = json.loads(path.read_text()) if path.exists() else {}
    return found


def save(path: Path, results: Results) -> None:
    """Keep results, a line a sweep."""
    order = [entry.name for entry in CATALOGUE]
    lines = [
        f"{json.dumps(route)}: {{\n" + ",\n".join(
            f"{json.dumps(fault)}: {json.dumps(results[route][fault])}" for fault in order if fault in results[route]
        ) + "\n}"
        for route in ROUTES if route in results
    ]  # fmt: skip
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def page(results: Results, definitions: dict[str, Iterable[str]]) -> str:
    """Return the page of results.

    Args:
        results: what is kept.
        definitions: the states of each machine, in the order of its story.
    """
    cells = [cell for faults in results.values() for states in faults.values() for cell in states.values()]
    counts = Counter(cell["verdict"] for cell in cells)
    bad = sum(bool(cell["violations"]) for cell in cells)
    lines = [
        "# Faults",
        "",
        "What goes wrong on AWS now and then, made to happen on the laptop at every state where it can. Each cell is",
        "met by an execution of the deployed state machines. After it, these must hold: no execution is stuck, no job",
        "or endpoint is orphaned, nothing ended with `States.Runtime`, no upload is lost, the lease is released, the",
        "ledger's row agrees with the execution, the champion with the endpoint. A run that failed is then redriven,",
        "and meets the fault at the states that are left, until it ends well.",
        "",
        "`make faults` runs all of it and writes this page; `make test` runs a part. One fault on one way:",
        "`tandem chaos --fault throttled --way spot`; faults of your own: `tandem chaos --plan faults.toml`.",
        "",
        f"{len(cells)} cells: {counts[SURVIVED]} survived, {counts[FAILED]} failed and said why,",
        f"{counts[STOPPED]} were stopped on purpose; {bad} left something that should not be.",
        "",
        "## The faults",
        "",
        "| | fault | what happens | where |",
        "|---|---|---|---|",
    ]
    lines += [f"| {number} | {entry.name} | {entry.what} | {entry.where} |" for number, entry in _numbered()]
    lines += ["", "## The cells", ""]
    lines += [
        f"{MARKS[SURVIVED]} it ended as if nothing had been; {MARKS[FAILED]} it failed, with its cause, and left",
        f"nothing; {MARKS[STOPPED]} it was stopped, and left nothing; ✗ something was as it should not be (see below);",
        "empty: the fault cannot be there (a fault of jobs at a Choice), or the way did not meet it there.",
    ]
    for name, route in ROUTES.items():
        if name in results:
            lines += ["", *_table(name, results[name], definitions[route.machine])]
    lines += ["", "## What should not be", "", *(_violations(results) or ["Nothing, of what was run."])]
    if missing := list(_missing(results)):
        lines += ["", "## Not run yet", "", *missing]
    return "\n".join(lines) + "\n"


def _numbered() -> Iterator[tuple[int, Any]]:
    yield from enumerate(CATALOGUE, start=1)


def _table(name: str, faults: dict[str, Any], states: Iterable[str]) -> list[str]:
    met = [state for state in states if any(state in found for found in faults.values())]
    numbers = [str(number) for number, _ in _numbered()]
    lines = [f"### {name.capitalize()} ({ROUTES[name].machine})", "", f"| state | {' | '.join(numbers)} |"]
    lines.append("|---" * (len(numbers) + 1) + "|")
    for state in met:
        marks = [_mark(faults.get(entry.name, {}).get(state)) for _, entry in _numbered()]
        lines.append(f"| {state} | {' | '.join(marks)} |")
    return lines


def _missing(results: Results) -> Iterator[str]:
    for name in ROUTES:
        if left := [entry.name for entry in CATALOGUE if entry.name not in results.get(name, {})]:
            yield f"* {name}: {', '.join(left) if name in results else 'every fault'}"


def _mark(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return "✗" if cell["violations"] else MARKS[cell["verdict"]]


def _violations(results: Results) -> list[str]:
    return [
        f"* {route}, {fault}, `{state}`: {'; '.join(cell['violations'])}"
        for route, faults in results.items()
        for fault, states in faults.items()
        for state, cell in states.items()
        if cell["violations"]
    ]
