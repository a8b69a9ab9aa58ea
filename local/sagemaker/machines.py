"""The cloud's side of a job's containers: start them, signal them, read their output, learn how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.sagemaker import namespace

REPOSITORY = Path(__file__).resolve().parents[2]
OnLine = Callable[[str, str], None]
OnExit = Callable[["Machines", str, int], None]


@dataclass(frozen=True, kw_only=True)
class Host:
    """One container.

    Args:
        name: ``algo-1``.
        address: the loopback address that its name resolves to.
        root: the folder that is its ``/opt/ml``.
        command: program and arguments.
        environment: all of its environment.
        folder: its working directory, as seen inside.
        binds: what else of an image is visible where: path inside -> path outside.
    """

    name: str
    address: str
    root: Path
    command: list[str]
    environment: dict[str, str]
    folder: str
    binds: dict[str, Path] = field(default_factory=dict)


class Machines:
    """The containers of one attempt of a job.

    Args:
        hosts: what to run.
        folder: a folder for the machines' own files.
        isolated: no network but the loopback, where namespaces allow it.
        on_line: called with host and line as they are printed, from one thread a host.
        on_exit: called with these machines, host and exit code (128 + n when killed by signal n).
    """

    def __init__(self, *, hosts: list[Host], folder: Path, isolated: bool, on_line: OnLine, on_exit: OnExit) -> None:
        self.hosts, self.folder, self.isolated = hosts, folder, isolated
        self._on_line, self._on_exit = on_line, on_exit
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.pids: dict[str, int] = {}
        self.exits: dict[str, int] = {}

    def start(self) -> Machines:
        """Start every container; returns at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pipes = {host.name: os.pipe() for host in self.hosts}
        spec = self.folder / "machines.json"
        spec.write_text(json.dumps(self._spec({name: pipe[1] for name, pipe in pipes.items()})))
        with (self.folder / "warden.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "local.sagemaker.warden", str(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=REPOSITORY,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=[pipe[1] for pipe in pipes.values()],
                start_new_session=True,
            )
        for name, (reader, writer) in pipes.items():
            os.close(writer)
            self._follow(self._read_output, name, reader)
        self._follow(self._read_status)
        return self

    def signal(self, number: int, host: str | None = None) -> None:
        """Signal the first process of ``host``, or of every host; nothing happens to those that have ended."""
        with self._lock:
            process = self._process
            if process is None or process.stdin is None or process.poll() is not None:
                return
            try:
                process.stdin.write(json.dumps({"signal": number, "host": host}).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                return  # the last container ended this moment

    def kill(self) -> None:
        """Kill every process of every host."""
        self.signal(signal.SIGKILL)

    def ended(self, seconds: float) -> bool:
        """Wait at most ``seconds``; return whether every container has ended."""
        try:
            if self._process:
                self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Kill what still runs and wait until all output has been read."""
        process = self._process
        if process is None:
            return
        with self._lock:
            if process.stdin and not process.stdin.closed:
                _close_quietly(process.stdin)
        process.wait()
        for thread in self._threads:
            thread.join()
        if process.stdout:
            process.stdout.close()

    def _spec(self, outputs: dict[str, int]) -> dict[str, Any]:
        names = "".join(f"{host.address} {host.name}\n" for host in self.hosts)
        known = Path("/etc/hosts").read_text() if Path("/etc/hosts").exists() else ""
        (self.folder / "hosts").write_text(f"{known}\n{names}")
        return {
            "namespaces": not namespace.unavailable(),
            "isolated": self.isolated,
            "hosts": [self._host_spec(host, outputs[host.name]) for host in self.hosts],
        }

    def _host_spec(self, host: Host, output: int) -> dict[str, Any]:
        staging = self.folder / f"{host.name}.root"
        staging.mkdir(exist_ok=True)
        binds = {"/opt/ml": host.root, "/etc/hosts": self.folder / "hosts", **host.binds}
        return {
            "name": host.name,
            "command": host.command,
            "environment": host.environment,
            "folder": host.folder,
            "output": output,
            "staging": str(staging),
            "binds": [[inside, str(outside)] for inside, outside in binds.items()],
        }

    def _follow(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name=f"machines-{self.folder.name}")
        thread.start()
        self._threads.append(thread)

    def _read_output(self, host: str, descriptor: int) -> None:
        with open(descriptor, encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                self._on_line(host, line.rstrip("\n"))

    def _read_status(self) -> None:
        assert self._process is not None
        for line in self._process.stdout or ():
            event = json.loads(line)
            if "exit" in event:
                self.exits[event["host"]] = event["exit"]
                self._on_exit(self, event["host"], event["exit"])
            else:
                self.pids[event["host"]] = event["pid"]
        for host in self.hosts:
            if host.name not in self.exits:  # the warden itself was killed
                self.exits[host.name] = 137
                self._on_exit(self, host.name, 137)


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return  # the warden has gone already, which is what closing asks for
