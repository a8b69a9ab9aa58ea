"""One execution environment: a process that handles one event at a time.

Times, limits and texts are those of Lambda: initialisation, ``Task timed out
after 3.00 seconds``, ``Runtime exited with error: signal: killed`` for a process
that grew above MemorySize, START/END/REPORT lines.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from local.chaos import functions
from local.chaos.faults import FunctionFault
from local.lambdas.config import FunctionConfig
from local.lambdas.outcome import Result, judge
from local.lambdas.output import Output
from local.lambdas.runtime_api import Event, Message, RuntimeApi
from local.lambdas.surroundings import Surroundings, variables

INIT_LIMIT_S = 10  # Lambda's limit for initialisation; a retry then has the function's own time-out
MEMORY_POLL_S = 0.1
MIB = 1024 * 1024


class Sandbox:
    """One process of one function version, warm between events."""

    def __init__(self, config: FunctionConfig, code: list[Path], around: Surroundings) -> None:
        self.config = config
        self.id = uuid.uuid4().hex
        self.idle_since = time.monotonic()
        self._code, self._around = code, around
        self._api = RuntimeApi()
        self._tmp = around.scratch / self.id
        self._tmp.mkdir(parents=True)
        self._peak_memory = 0
        self._init_s: float | None = None
        self._ready = False
        self._started = time.monotonic()
        stream_name = f"{datetime.now(UTC):%Y/%m/%d}/{config.log_stream}{self.id}"
        self._process = self._spawn(stream_name)
        stream = around.stream(stream_name)
        assert self._process.stdout is not None
        self._output = Output(os.dup(self._process.stdout.fileno()), stream, around.publish)
        threading.Thread(target=self._wait_for_exit, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can take another event."""
        return self._process.poll() is None

    def invoke(
        self,
        payload: bytes,
        *,
        request_id: str,
        arn: str,
        client_context: str = "",
        fault: FunctionFault | None = None,
    ) -> Result:
        """Handle one event; on a time-out, a crash, too much memory or by ``fault`` the sandbox dies."""
        self._output.start_tail()
        if not self._ready and (failed := self._initialise(request_id)):
            return failed
        self._output.say(f"START RequestId: {request_id} Version: {self.config.version}")
        started = time.monotonic()
        deadline_ms = int((time.time() + self.config.timeout_s) * 1000)
        event = Event(
            request_id=request_id, payload=payload, arn=arn, deadline_ms=deadline_ms, client_context=client_context
        )
        message = self._handle(event, started + self.config.timeout_s, fault)
        return self._finish(message, request_id, time.monotonic() - started)

    def _handle(self, event: Event, deadline: float, fault: FunctionFault | None) -> Message:
        """Have the handler work on an event, unless and until ``fault`` ends it."""
        if not functions.begins_at_all(fault):
            return self._die("memory")
        with functions.doomed(self, fault):
            self._api.events.put(event)
            message = self._next_message(deadline, request_id=event.request_id)
        ending = functions.ending(fault)
        return self._die(ending) if ending else message

    def die(self) -> None:
        """Kill the process, in the middle of whatever it does."""
        with suppress(ProcessLookupError):  # it ended by itself at that very moment
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and everything it started; its files go too."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):  # it ended by itself just now
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._api.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _spawn(self, stream_name: str) -> subprocess.Popen[bytes]:
        child = Path(__file__).with_name("child.py")
        return subprocess.Popen(
            [sys.executable, "-S", "-P", str(child), self.config.handler],
            cwd=self._code[0],
            env=variables(self.config, self._around, self._code, self._tmp, self._api.address, stream_name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _initialise(self, request_id: str) -> Result | None:
        """Wait until the runtime client asks for its first event; return a result when it never does."""
        message = self._next_message(self._started + INIT_LIMIT_S + self.config.timeout_s)
        self._init_s = time.monotonic() - self._started
        if message.kind == "ready":
            self._ready = True
            return None
        self._output.say(
            f"INIT_REPORT Init Duration: {self._init_s * 1000:.2f} ms\tPhase: init\tStatus: error",
            f"START RequestId: {request_id} Version: {self.config.version}",
        )
        return self._finish(message, request_id, 0.0)

    def _next_message(self, deadline: float, *, request_id: str = "") -> Message:
        """Return what the sandbox says next; ``timeout`` or ``memory`` are said for it, and it is killed.

        On a loaded machine its client may answer an event twice: what it says of earlier ones is not heard.
        """
        while True:
            left = deadline - time.monotonic()
            try:
                message = self._api.messages.get(timeout=max(0.0, min(left, MEMORY_POLL_S)))
            except queue.Empty:
                if left <= 0:
                    return self._die("timeout")
                if self._measure_memory() > self.config.memory_mb * MIB:
                    return self._die("memory")
                continue
            if message.request_id in ("", request_id) and (message.kind != "ready" or not self._ready):
                return message

    def _die(self, kind: str) -> Message:
        self.die()
        self._process.wait()
        return Message(kind=kind, code=-signal.SIGKILL)

    def _measure_memory(self) -> int:
        """Resident bytes of the process and all its descendants."""
        try:
            root = psutil.Process(self._process.pid)
            used = sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])
        except psutil.NoSuchProcess:
            return 0
        self._peak_memory = max(self._peak_memory, used)
        return used

    def _wait_for_exit(self) -> None:
        code = self._process.wait()
        with suppress(ProcessLookupError):  # it left nothing behind
            os.killpg(self._process.pid, signal.SIGKILL)
        self._api.messages.put(Message(kind="exit", code=code))

    def _finish(self, message: Message, request_id: str, duration_s: float) -> Result:
        self._measure_memory()
        self._output.drain()
        payload, error, line = judge(message, request_id, self.config.timeout_s)
        self._output.say(line, f"END RequestId: {request_id}", self._report(request_id, duration_s))
        return Result(payload=payload, error=error, version=self.config.version, log_tail=self._output.tail)

    def _report(self, request_id: str, duration_s: float) -> str:
        duration = duration_s * 1000
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration:.2f} ms",
            f"Billed Duration: {int(duration) + 1} ms",
            f"Memory Size: {self.config.memory_mb} MB",
            f"Max Memory Used: {self._peak_memory // MIB} MB",
        ]
        if self._init_s is not None:
            parts.append(f"Init Duration: {self._init_s * 1000:.2f} ms")
            self._init_s = None
        return "\t".join(parts)
