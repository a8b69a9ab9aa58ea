"""Finds the processes of a container from outside it."""

from __future__ import annotations

import re
from pathlib import Path

PARENT, STARTED = 4, 22
"""Fields of /proc/PID/stat: the parent's number; when it began, in clock ticks since the machine did."""


def matching(ancestor: int, expression: str) -> list[int]:
    """Return the descendants of ``ancestor`` whose command line matches ``expression``, youngest first.

    By when they began: numbers of processes are used again.
    """
    found = [pid for pid in _descendants(ancestor) if re.search(expression, _command(pid))]
    return sorted(found, key=lambda pid: (_field(pid, STARTED), pid), reverse=True)


def _descendants(ancestor: int) -> set[int]:
    parents = {pid: parent for pid in _all() if (parent := _field(pid, PARENT))}
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _field(pid: int, number: int) -> int:
    """Return a field of a process's status, as proc(5) numbers them; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[number - 3])
    except OSError:  # it ended while we looked
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
