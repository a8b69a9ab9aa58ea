"""Why a training program failed, told from what its ranks and torchrun left. Standard library only."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

LOST_PEER = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "ncclRemoteError")
TRACEBACK = "Traceback (most recent call last)"
ROOT_CAUSE = re.compile(r"Root Cause .*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", re.DOTALL)  # torchrun's summary
OF_TORCHRUN = re.compile(r"[EWI]\d{4} |={10}|-{10}|\[rank\d+\]:\[W")
LAST_LINES = 5
NO_MEMORY = "; the host has probably run out of memory: "


def of_failure(error_file: Path, printed: Iterable[str], *, host: str, status: int, remedy: str) -> str:
    """Return why a program failed.

    Args:
        error_file: where torch's ``record`` decorator leaves the first failing rank's error.
        printed: the program's last lines.
        host: where it ran.
        status: of its exit; negative for a signal.
        remedy: what helps where it had too little memory.
    """
    lines = list(printed)
    if error_file.exists():
        entry = json.loads(error_file.read_text())["message"]
        text = entry["extraInfo"]["py_callstack"] if isinstance(entry, dict) else str(entry)
    else:
        starts = [number for number, line in enumerate(lines) if line.startswith(TRACEBACK)]
        text = "\n".join(lines[starts[-1] :] if starts else lines)
    if found := ROOT_CAUSE.search(text):
        return _without_words(f"rank {found[1]} on {host}", int(found[2]), lines, remedy)
    if status < 0 and not error_file.exists():
        return _without_words(f"the program on {host}", status, lines, remedy)
    return text.strip() or f"the program ended with status {status}"


def _without_words(who: str, status: int, printed: Sequence[str], remedy: str) -> str:
    """Return what happened to a program that ended without an error of its own: torchrun's frames are not the cause."""
    ended = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    memory = f"{NO_MEMORY}{remedy}" if status == -signal.SIGKILL else ""
    first = next((number for number, line in enumerate(printed) if OF_TORCHRUN.match(line)), len(printed))
    last = [line for line in printed[:first] if line][-LAST_LINES:]
    return "\n".join([f"{who} {ended}{memory}", *(["its host last printed:", *last] if last else [])])
