"""A sandbox's standard output and error, as CloudWatch log events and embedded metrics.

Lambda makes one event of each line. The runtime client ends the lines inside one
error with a carriage return, so that a traceback stays one event.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Any

from local import logs

TAIL = 4096  # bytes of log that an invocation with LogType=Tail returns

PublishMetrics = Callable[[str, list[dict[str, Any]]], None]


class Output:
    """Reads a sandbox's output; ``drain`` makes sure that what was written is logged.

    Args:
        descriptor: the read end of the sandbox's output pipe.
        stream: the log stream.
        publish: what to do with embedded metrics.
    """

    def __init__(self, descriptor: int, stream: logs.LogStream, publish: PublishMetrics) -> None:
        self._descriptor, self._stream, self._publish = descriptor, stream, publish
        self._lock = threading.RLock()
        self._rest = b""
        self._tail = b""
        self._ended = False
        threading.Thread(target=self._follow, daemon=True).start()

    def start_tail(self) -> None:
        """Forget the tail: an invocation begins."""
        with self._lock:
            self._tail = b""

    @property
    def tail(self) -> bytes:
        """The last 4 KiB since ``start_tail``."""
        return self._tail

    def drain(self) -> None:
        """Log everything that the sandbox has written so far."""
        with self._lock:
            while not self._ended and select.select([self._descriptor], [], [], 0)[0]:
                self._read()

    def say(self, *lines: str) -> None:
        """Log lines of the platform itself: START, END, REPORT."""
        with self._lock:
            self._log([line.encode() for line in lines])

    def _follow(self) -> None:
        while not self._ended:
            select.select([self._descriptor], [], [])
            with self._lock:
                if not self._ended and select.select([self._descriptor], [], [], 0)[0]:
                    self._read()

    def _read(self) -> None:
        chunk = os.read(self._descriptor, 65536)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk:
            lines, self._rest, self._ended = [self._rest], b"", True
            os.close(self._descriptor)
        self._log(lines)

    def _log(self, lines: list[bytes]) -> None:
        messages = [line.decode(errors="replace").replace("\r", "\n") for line in lines if line]
        self._stream.write(messages)
        self._tail = (self._tail + b"".join(message.encode() + b"\n" for message in messages))[-TAIL:]
        for message in messages:
            for namespace, data in logs.embedded_metrics(message):
                self._publish(namespace, data)
