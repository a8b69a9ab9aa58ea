"""What became of the matrix's cells: kept as JSON, shown as a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.chaos.catalogue import ANY_STATE, ANY_TASK, CATALOGUE
from local.chaos.round import ALIKE, FAILED, STOPPED, SURVIVED
from local.chaos.ways import UNREACHED, WAYS

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "faults.json"
MARKS = {SURVIVED: "✓", FAILED: "!", STOPPED: "■", ALIKE: "="}
BAD = "✗"
Results = dict[str, dict[str, dict[str, Any]]]
"""Way -> fault -> state -> ``{"verdict", "end", "violations"}``; a fault that was met nowhere has no states."""


def merge(results: Results, told: Iterable[dict[str, Any]]) -> Results:
    """Return results with sweeps in the place of earlier ones; ways that are no more are left out.

    Args:
        results: what is kept.
        told: the documents of a run: for each sweep one that says so (``{"swept", "way", "states"}``: of these states,
            or of all where there are none), then its cells.
    """
    merged = {way: dict(faults) for way, faults in results.items() if way in WAYS}
    for document in told:
        if "swept" in document:
            way, swept = merged.setdefault(document["way"], {}), document["states"]
            kept = way.get(document["swept"], {}) if swept else {}
            way[document["swept"]] = {state: cell for state, cell in kept.items() if state not in swept}
        elif "state" in document:
            cell = {name: document[name] for name in ("verdict", "end", "violations")}
            merged[document["way"]][document["fault"]][document["state"]] = cell
    return merged


def load(path: Path) -> Results:
    """Return what is kept; nothing where there is no file."""
    found: Results = json.loads(path.read_text()) if path.exists() else {}
    return found


def save(path: Path, results: Results) -> None:
    """Keep results, a line a sweep."""
    order = [entry.name for entry in CATALOGUE]
    lines = [
        f"{json.dumps(way)}: {{\n" + ",\n".join(
            f"{json.dumps(fault)}: {json.dumps(results[way][fault])}" for fault in order if fault in results[way]
        ) + "\n}"
        for way in WAYS if way in results
    ]  # fmt: skip
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def unmet(results: Results, definitions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the states that met no fault, and are not among those that no way reaches; and those that wrongly are.

    Of the others, those that missed a fault of every state, or of every Task, that can be there.
    """
    cells = {
        (WAYS[way].machine, state, fault)
        for way, faults in results.items() for fault, states in faults.items() for state in states
    }  # fmt: skip
    met = {(machine, state) for machine, state, _ in cells}
    there = {(machine, state) for machine, states in definitions.items() for state in states}
    left = there - met - set(UNREACHED)
    stale = set(UNREACHED) - there | set(UNREACHED) & met
    return (
        [f"{machine}: {state!r} met no fault; give it a way" for machine, state in sorted(left)]
        + [
            f"{machine}: {state!r} is reached, or is no more; take it from UNREACHED"
            for machine, state in sorted(stale)
        ]
        + [
            f"{machine}: {state!r} never met {fault!r}"
            for machine, state in sorted(met & there)
            for fault in _everywhere(definitions[machine][state])
            if (machine, state, fault) not in cells
        ]
    )


def _everywhere(definition: Mapping[str, Any]) -> list[str]:
    """Return the faults of every state, and, where this is one, of every Task."""
    where = (ANY_STATE, ANY_TASK) if definition["Type"] == "Task" else (ANY_STATE,)
    return [entry.name for entry in CATALOGUE if entry.where in where]


def page(results: Results, definitions: Mapping[str, Iterable[str]]) -> str:
    """Return the page of results.

    Args:
        results: what is kept.
        definitions: the states of each machine, in the order of its story.
    """
    lines = ["# Faults", "", *INTRODUCTION, "", *_counted(results), "", "## The faults", "", *_faults(results)]
    lines += ["", "## The cells", "", *LEGEND]
    for machine, states in definitions.items():
        lines += ["", *_table(machine, results, states)]
    lines += ["", "## What should not be", "", *(_violations(results) or ["Nothing, of what was run."])]
    lines += ["", "## Not reached", "", "States that no way passes; each is run by itself by a test.", ""]
    lines += [f"* {machine}, `{state}`: {why}" for (machine, state), why in UNREACHED.items()]
    if missing := list(_missing(results)):
        lines += ["", "## Not run yet", "", *missing]
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
What goes wrong on AWS now and then, made to happen on the laptop at every state where it can. Each cell is
met by an execution of the deployed state machines. After it, these must hold: no execution is stuck, no job,
endpoint, configuration or model is orphaned, nothing ended with `States.Runtime`, no upload is lost, the
lease is released, the budget's reservation settled, no machine of a quota is held, a run cost what its jobs
were billed, the ledger's row agrees with the execution, the champion with the endpoint. A run that failed is
then redriven, and meets the fault at the states that are left, until it ends well. What puts right what a
stopped batch left (`batch stopped`), and fails itself, is started again, as its
[runbook](runbooks/recovery-failed.md) says.

`make faults` runs all of it and writes this page; `make test` runs a part. One fault on one way:
`tandem chaos --fault throttled --way spot`; faults of your own: `tandem chaos --plan faults.toml`.""".splitlines()
LEGEND = f"""\
{MARKS[SURVIVED]} it ended as if nothing had been; {MARKS[FAILED]} it failed, with its cause, and left
nothing; {MARKS[STOPPED]} it was stopped, and left nothing; {BAD} something was as it should not be (below);
{MARKS[ALIKE]} the state cannot tell it from a fault to the left;
empty: the fault cannot be there (a fault of jobs at a Choice). A way is what is done, and what is there
before (`local/chaos/ways.py`); a state that several ways pass meets its faults on the first of them.""".splitlines()


def _marks(results: Results) -> Counter[tuple[str, str]]:
    """Return how many cells have which mark, by fault."""
    return Counter(
        (fault, _mark(cell))
        for faults in results.values()
        for fault, states in faults.items()
        for cell in states.values()
    )


def _counted(results: Results) -> list[str]:
    counts: Counter[str] = Counter()
    for (_, mark), number in _marks(results).items():
        counts[mark] += number
    return [
        f"{counts.total() - counts[MARKS[ALIKE]]} cells ran: {counts[MARKS[SURVIVED]]} survived,"
        f" {counts[MARKS[FAILED]]} failed and said why,",
        f"{counts[MARKS[STOPPED]]} were stopped on purpose; {counts[BAD]} left something that should not be."
        f" {counts[MARKS[ALIKE]]} more are",
        "like one of these to the state: the same Retry and the same Catch answer them, so they were not run.",
    ]


def _faults(results: Results) -> list[str]:
    """Return the table of the faults, with how their cells ended."""
    marks, counts = [*MARKS.values(), BAD], _marks(results)
    lines = [f"| | fault | what happens | where | {' | '.join(marks)} |", "|---" * (4 + len(marks)) + "|"]
    for number, entry in _numbered():
        ends = " | ".join(str(counts[entry.name, mark] or "") for mark in marks)
        lines.append(f"| {number} | {entry.name} | {entry.what} | {entry.where} | {ends} |")
    return lines


def _numbered() -> Iterator[tuple[int, Any]]:
    yield from enumerate(CATALOGUE, start=1)


def _table(machine: str, results: Results, states: Iterable[str]) -> list[str]:
    numbers = [str(number) for number, _ in _numbered()]
    lines = [f"### The machine `{machine}`", "", f"| state | way | {' | '.join(numbers)} |"]
    lines.append("|---" * (len(numbers) + 2) + "|")
    for state in states:
        for way in (each for each in WAYS.values() if each.machine == machine):
            faults = results.get(way.name, {})
            if any(state in found for found in faults.values()):
                marks = [_mark(faults.get(entry.name, {}).get(state)) for _, entry in _numbered()]
                lines.append(f"| {state} | {way.name} | {' | '.join(marks)} |")
    return lines


def _missing(results: Results) -> Iterator[str]:
    for name in WAYS:
        if left := [entry.name for entry in CATALOGUE if entry.name not in results.get(name, {})]:
            yield f"* {name}: {', '.join(left) if name in results else 'every fault'}"


def _mark(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return BAD if cell["violations"] else MARKS[cell["verdict"]]


def _violations(results: Results) -> list[str]:
    return [
        f"* {way}, {fault}, `{state}`: {'; '.join(cell['violations'])}"
        for way, faults in results.items()
        for fault, states in faults.items()
        for state, cell in states.items()
        if cell["violations"]
    ]
