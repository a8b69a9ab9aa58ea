"""What the benchmarks have in common: a table for people, and one line of JSON that says whether the goals are met."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

MET, MISSED, MISSING_PEER = 0, 1, 2  # exit statuses


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a ratio must be: ``at_least`` or ``at_most`` a value, both inclusive."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio is within both; NaN never is."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)


def need(packages: Sequence[str], *, extra: str = "benchmarks") -> None:
    """End the program with MISSING_PEER where one of the peers' packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{', '.join(missing)}: not installed; pip install -e '.[{extra}]'", file=sys.stderr)
        sys.exit(MISSING_PEER)


def report(
    name: str, rows: Sequence[Mapping[str, object]], *, ratios: Mapping[str, float], goals: Mapping[str, Goal]
) -> int:
    """Print the table, then the JSON object as the last line; return the exit status.

    Args:
        name: the benchmark's.
        rows: of the table; the first row's keys are the columns.
        ratios: what was measured, by name.
        goals: of some of the ratios.
    """
    print(table(rows), end="\n\n")
    met = all(goal.is_met(ratios[key]) for key, goal in goals.items())
    wanted = {key: {k: v for k, v in asdict(goal).items() if v is not None} for key, goal in goals.items()}
    rounded = {key: round(ratio, 4) for key, ratio in ratios.items()}
    print(json.dumps({"benchmark": name, "ratios": rounded, "goals": wanted, "met": met}), flush=True)
    return MET if met else MISSED


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as text in columns; numbers to the right."""
    columns = list(rows[0])
    cells = [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in [columns, *cells]) for place in range(len(columns))]
    right = [isinstance(rows[0][column], int | float) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(line, widths, right, strict=True)
        )
        for line in [columns, ["-" * width for width in widths], *cells]
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
