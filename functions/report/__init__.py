"""The report of a run."""

from __future__ import annotations

from contract.run import Run


def render(run: Run) -> str:
    """Return report.html."""
    return run.run
