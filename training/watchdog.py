"""Ends the job when a rank hangs, and names the rank, its host and what it was doing.

A process group only says that a peer has closed, or nothing for minutes. So each rank
tells, in a thread of its own, how far it came; the ranks that all others wait for are those
that came least far. A hung rank finds itself among them and ends with the stack of what hangs; where
its whole process is stopped, another one names it a little later.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from torch.distributed import DistError, PrefixStore, TCPStore

FRAMES = 4  # of the stack that are shown
LOOKS = 8  # at how far the others are, in the time that a rank may be silent
STARTING_SECONDS = 600  # in which a rank reads its data and a checkpoint, and begins its first update
OTHERS_WAIT = 0.25  # of that time, more, before another rank names the hung one


@dataclass(frozen=True, kw_only=True)
class Doing:
    """What a rank does: the ``number``-th thing since it started, counted alike on every rank."""

    number: int
    phase: str
    epoch: int
    step: int


class Watched(Protocol):
    """What is watched: the ranks."""

    rank: int
    size: int
    doing: Doing
    since: float


class Watchdog:
    """Watches this rank, and through the store the others; a context manager.

    Args:
        cluster: this rank.
        host: where it runs.
        seconds: after which silence it hangs.
    """

    def __init__(self, cluster: Watched, *, host: str, seconds: float) -> None:
        self._cluster, self._host, self._seconds = cluster, host, seconds
        self._ended = threading.Event()
        self._main = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
        self._store: PrefixStore | None = None
        if cluster.size > 1:
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            self._store = PrefixStore("watchdog", TCPStore(address, port, is_master=False))

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / LOOKS):
            try:
                everyone = self._exchange()
            except DistError:
                continue  # the store went with its host, whose end the process group reports
            silent = time.monotonic() - self._cluster.since
            patience = self._seconds if self._cluster.doing.number else max(self._seconds, STARTING_SECONDS)
            if silent < patience or self._ended.is_set():
                continue
            last = min(each["number"] for each in everyone.values())
            hung = [rank for rank, each in everyone.items() if each["number"] == last]
            if self._cluster.rank in hung:
                self._end(self._said(everyone, [self._cluster.rank], silent, ""), self._stack())
            elif silent > self._seconds * (1 + OTHERS_WAIT):
                self._end(self._said(everyone, hung, silent, "last heard of "), "")

    def _exchange(self) -> Mapping[int, dict[str, Any]]:
        """Tell what this rank does, and return what all do, as they last told."""
        mine = asdict(self._cluster.doing) | {"host": self._host}
        if self._store is None:
            return {0: mine}
        self._store.set(str(self._cluster.rank), json.dumps(mine))
        told = [str(rank) for rank in range(self._cluster.size) if self._store.check([str(rank)])]
        return {int(key): json.loads(self._store.get(key)) for key in told}

    def _said(self, everyone: Mapping[int, dict[str, Any]], hung: list[int], silent: float, heard: str) -> str:
        each = everyone[hung[0]]
        who = " and ".join(f"rank {rank} on {everyone[rank]['host']}" for rank in hung)
        return (
            f"{who} hangs: no step for {silent:.0f} s (train.rank_timeout_seconds = {self._seconds:g}), "
            f"{heard}in epoch {each['epoch']}, step {each['step']}, while {each['phase']}"
        )

    def _stack(self) -> str:
        frame = sys._current_frames()[self._main]
        return "".join(traceback.format_stack(frame)[-FRAMES:])

    def _end(self, text: str, stack: str) -> None:
        """End this process; torchrun takes the oldest of its ranks' error files for the cause."""
        error = f"{stack}contract.errors.TrainingFailed: {text}"
        if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
            extra = {"py_callstack": error, "timestamp": str(int(time.time()))}
            Path(path).write_text(json.dumps({"message": {"message": text, "extraInfo": extra}}))
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
