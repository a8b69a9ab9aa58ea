"""Finds the processes of a container from outside it."""

from __future__ import annotations

import re
from pathlib import Path


def matching(ancestor: int, expression: str) -> list[int]:
    """Return the descendants of ``ancestor`` whose command line matches ``expression``, youngest first."""
    return [pid for pid in sorted(_descendants(ancestor), reverse=True) if re.search(expression, _command(pid))]


def _descendants(ancestor: int) -> set[int]:
    parents = {pid: parent for pid in _all() if (parent := _parent(pid))}
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended while we looked
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
