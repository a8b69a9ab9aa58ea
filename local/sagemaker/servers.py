"""One server of a model: a container that answers GET /ping and POST /invocations."""

from __future__ import annotations

import http.client
import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.sagemaker.machines import Host, Machines

PING_SECONDS = 2.0  # a health check that takes longer has failed
LOOK_SECONDS = 0.05
RESTART_SECONDS = 1.0
INVOCATION_SECONDS = 60.0  # https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
_handed_out: set[int] = set()
_ports_lock = threading.Lock()


class Unhealthy(Exception):
    """A server that never answered its health check; the message says what it did instead."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a container answered: HTTP status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """One container of one variant, started again if it dies while in service.

    Args:
        folder: holds its /opt/ml and its files.
        host: makes the host to run for a port.
        on_line: called with each line it prints.
    """

    def __init__(self, *, folder: Path, host: Callable[[int], Host], on_line: Callable[[str], None]) -> None:
        self.folder, self.port, self._host = folder, free_port(), host
        self._on_line = on_line
        self._lock = threading.Condition()
        self._machines: Machines | None = None
        self._starts = itertools.count(1)
        self._ended: int | None = None
        self._in_service = self._closing = False
        self.in_flight = 0

    def start(self) -> Server:
        """Start the container; returns at once."""
        self._ended = None
        self._machines = Machines(
            hosts=[self._host(self.port)],
            folder=self.folder / f"start-{next(self._starts)}",
            isolated=False,
            on_line=lambda _, line: self._on_line(line),
            on_exit=self._exited,
        ).start()
        return self

    def wait_until_healthy(self, seconds: float) -> None:
        """Return when /ping says 200; raises Unhealthy after ``seconds``, or when the container has exited."""
        deadline = time.monotonic() + seconds
        said = "no answer"
        while time.monotonic() < deadline:
            if self._ended is not None:
                raise Unhealthy(f"the container exited with code {self._ended}")
            if self._closing:
                raise Unhealthy("the container was stopped")
            try:
                status = self._request("GET", "/ping", b"", {}, PING_SECONDS).status
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            else:
                if status == 200:
                    self._in_service = True
                    return
                said = f"GET /ping answered {status}"
            time.sleep(LOOK_SECONDS)
        raise Unhealthy(f"no health within {seconds:.0f} s: {said}")

    def invoke(self, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
        """POST /invocations; raises OSError or HTTPException when there is no answer in time."""
        return self._request("POST", "/invocations", body, headers, seconds)

    def enter(self) -> None:
        """Count a request in."""
        with self._lock:
            self.in_flight += 1

    def leave(self) -> None:
        """Count a request out."""
        with self._lock:
            self.in_flight -= 1
            self._lock.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until no request is in flight, at most ``seconds``."""
        with self._lock:
            self._lock.wait_for(lambda: self.in_flight == 0, seconds)

    def close(self) -> None:
        """Kill the container; the port is free again."""
        self._closing = True
        if self._machines:
            self._machines.close()
        with _ports_lock:
            _handed_out.discard(self.port)

    def _exited(self, _: Machines, __: str, code: int) -> None:
        self._ended = code
        if self._in_service and not self._closing:
            self._on_line(f"laptop cloud: the container exited with code {code}; it is started again")
            threading.Thread(target=self._restart, daemon=True, name=f"restart-{self.port}").start()

    def _restart(self) -> None:
        time.sleep(RESTART_SECONDS)
        if self._machines:
            self._machines.close()
        if not self._closing:
            self.start()
            if self._closing and self._machines:  # closed meanwhile: it saw the machines that had ended
                self._machines.close()

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=names, body=response.read())
        finally:
            connection.close()


def free_port() -> int:
    """Return a TCP port that nothing uses and that was not handed out before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        with _ports_lock:
            if port not in _handed_out:
                _handed_out.add(port)
                return port
