"""Faults of jobs: machines that are missing or taken away, processes that die, hang or find the disk full."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local.chaos.faults import (
    FailedJob,
    FullDisk,
    HungRank,
    KilledRank,
    MissingCapacity,
    ProcessFault,
    RecalledJob,
    StoppedJob,
    TimeOver,
)
from local.chaos.lab import LAB
from local.sagemaker import namespace, processes

if TYPE_CHECKING:
    from local.sagemaker.machines import Machines

STRIKE_SECONDS = 0.05  # between looks for the process that a fault strikes
LINES = "lines.txt"
OnLine = Callable[[str, str], None]
FILL = """
set -e
for folder in model checkpoints output/data processing/output; do
    [ -d /opt/ml/$folder ] || continue
    mount -t tmpfs -o size=4k full /opt/ml/$folder
    head -c 4096 /dev/zero 2>&1 > /opt/ml/$folder/.full | grep -v "No space left" || true  # the program may be faster
done
"""
MADE = ("model", "output", "processing/output")
"""What a program leaves in its /opt/ml."""


def is_missing(job: str, instance: str) -> bool:
    """Say whether a job finds no machines of a type."""
    return LAB.take(MissingCapacity, job=job, instance=instance) is not None


def platform_failure(job: str) -> str:
    """Return why the platform fails a job before it begins, or ''."""
    fault = LAB.take(FailedJob, job=job)
    return fault.reason if fault else ""


def at_line(job: str, line: str, machines: Machines | None) -> None:
    """Strike a process of a job that printed a line."""
    fault = LAB.take(ProcessFault, job=job, when=line) if LAB.waits(ProcessFault) else None
    if fault and machines:
        threading.Thread(target=_strike, args=(fault, machines), daemon=True, name="struck-process").start()


def is_stopped(job: str, line: str) -> bool:
    """Say whether somebody stops a job that printed a line."""
    return LAB.waits(StoppedJob) and LAB.take(StoppedJob, job=job, when=line) is not None


def is_time_over(job: str, line: str) -> bool:
    """Say whether the time of a job that printed a line is over."""
    return LAB.waits(TimeOver) and LAB.take(TimeOver, job=job, when=line) is not None


def _strike(fault: ProcessFault, machines: Machines) -> None:
    """Strike the process that the fault names, as soon as it is there."""
    while not machines.ended(STRIKE_SECONDS):
        keeper = machines.pids.get(fault.host)
        if keeper and (pids := processes.matching(keeper, fault.process)):
            _HURTS[type(fault)](pids)
            return


def _kill(pids: list[int]) -> None:
    os.kill(pids[0], signal.SIGKILL)


def _hang(pids: list[int]) -> None:
    os.kill(pids[0], signal.SIGSTOP)


def _fill_disk(pids: list[int]) -> None:
    """Lay a file system without room over each folder that a program writes to, in the view of its container alone.

    The program stands still meanwhile, and not while it writes a checkpoint: that would be renamed to where it is not.

    Raises:
        OSError: where the system has no namespaces: there would be no other view.
    """
    if reason := namespace.unavailable():
        raise OSError(f"no disk can be full here: {reason}")
    inside = ["--user", "--mount", "--root", f"--wd=/proc/{pids[0]}/root", "--preserve-credentials"]
    checkpoints = Path(f"/proc/{pids[0]}/root/opt/ml/checkpoints")
    while True:
        with _still(pids):
            if not any(checkpoints.glob(".*.partial")):
                subprocess.run(["nsenter", f"--target={pids[0]}", *inside, "sh", "-c", FILL], check=True)
                return
        time.sleep(STRIKE_SECONDS)


@contextlib.contextmanager
def _still(pids: list[int]) -> Iterator[None]:
    """Have processes stand still inside the ``with`` block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


_HURTS = {KilledRank: _kill, HungRank: _hang, FullDisk: _fill_disk}


class Recollection:
    """What a job's program made, kept for like jobs: the files of each host, and the lines that it printed.

    Args:
        folder: where it is kept; None keeps and remembers nothing.
        roots: the ``/opt/ml`` of each host by name.
    """

    def __init__(self, folder: Path | None, roots: dict[str, Path]) -> None:
        self._folder, self._roots = folder, roots
        self._lines: list[str] = []

    @property
    def there(self) -> bool:
        """Whether an earlier job left something."""
        return self._folder is not None and (self._folder / LINES).exists()

    def noting(self, on_line: OnLine) -> OnLine:
        """Return ``on_line`` that notes the lines, too."""

        def note(host: str, line: str) -> None:
            self._lines.append(f"{host} {line}\n")
            on_line(host, line)

        return note if self._folder else on_line

    def keep(self) -> None:
        """Keep what a job has made."""
        if self._folder is None:
            return
        for host, root in self._roots.items():
            for part in MADE:
                if (root / part).is_dir():
                    shutil.copytree(root / part, self._folder / host / part, dirs_exist_ok=True)
        (self._folder / LINES).write_text("".join(self._lines))

    def restore(self, on_line: OnLine) -> None:
        """Put the files where a job's program would have made them, and have its lines printed."""
        assert self._folder is not None
        for host, root in self._roots.items():
            shutil.copytree(self._folder / host, root, dirs_exist_ok=True)
        for line in (self._folder / LINES).read_text().splitlines():
            host, _, text = line.partition(" ")
            on_line(host, text)


def recollection(job: str, roots: dict[str, Path]) -> Recollection:
    """Return where the results of jobs like this one are kept, where such jobs are not to be run again."""
    fault = LAB.take(RecalledJob, job=job)
    folder = Path(fault.folder, fault.like) if fault else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return Recollection(folder, roots)
