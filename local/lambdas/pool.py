"""The sandboxes of one function version: warm ones are used again, busy ones are joined by new ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.lambdas.config import FunctionConfig
from local.lambdas.sandbox import Sandbox
from local.lambdas.surroundings import Surroundings


class Pool:
    """All sandboxes of one configuration.

    Args:
        config: the version; another configuration is another pool.
        code: its unpacked archive, then those of its layers.
        around: what its sandboxes find around them.
    """

    def __init__(self, config: FunctionConfig, code: list[Path], around: Surroundings) -> None:
        self.config = config
        self._code, self._around = code, around
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """Lend a sandbox for one event; it stays warm unless it died or the pool was closed."""
        sandbox = self._take()
        try:
            yield sandbox
        finally:
            self._give_back(sandbox)

    def reap(self, idle_s: float) -> None:
        """End the sandboxes that were idle for ``idle_s`` seconds."""
        oldest = time.monotonic() - idle_s
        with self._lock:
            old = [sandbox for sandbox in self._idle if sandbox.idle_since < oldest]
            self._idle = [sandbox for sandbox in self._idle if sandbox.idle_since >= oldest]
        for sandbox in old:
            sandbox.kill()

    def close(self, *, busy: bool) -> None:
        """End the idle sandboxes now and the others when they are done, or now too with ``busy``."""
        with self._lock:
            self._closed = True
            doomed, self._idle = self._idle, []
            if busy:
                doomed += self._busy
        for sandbox in doomed:
            sandbox.kill()

    def _take(self) -> Sandbox:
        with self._lock:
            while self._idle:
                sandbox = self._idle.pop()  # the one used last: the others may age and go
                if sandbox.alive:
                    self._busy.add(sandbox)
                    return sandbox
                sandbox.kill()
        sandbox = Sandbox(self.config, self._code, self._around)
        with self._lock:
            self._busy.add(sandbox)
        return sandbox

    def _give_back(self, sandbox: Sandbox) -> None:
        sandbox.idle_since = time.monotonic()
        with self._lock:
            self._busy.discard(sandbox)
            keep = sandbox.alive and not self._closed
            if keep:
                self._idle.append(sandbox)
        if not keep:
            sandbox.kill()
