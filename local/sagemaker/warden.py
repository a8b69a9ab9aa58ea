"""Runs the containers of one job, and outlives none of them: ``python -m local.sagemaker.warden SPEC.json``.

The cloud holds the other end of standard input. A line there is a command,
``{"signal": 15, "host": "algo-1"}`` (no host: all of them); its end means that the
cloud is gone, so everything is killed. Standard output tells of each host,
``{"host": "algo-1", "pid": 17}`` and ``{"host": "algo-1", "exit": 0}``.

Between the warden and a container's first process stands one keeper a host: it
owns the host's namespaces, passes signals on, and takes every process of the
host with it when it goes.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from local.sagemaker import namespace

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILLED = 128  # a container killed by signal n exits with 128 + n, as Docker says it


class Warden:
    """The containers of one job, by host name."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.keepers: dict[int, str] = {}

    def run(self) -> None:
        """Start every host, obey commands, report exits; return when all hosts are gone."""
        wake, wakened = os.pipe()
        os.set_blocking(wakened, False)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.signal(signal.SIGKILL, None))
        for host in self.spec["hosts"]:
            self.keepers[_start_keeper(host, self.spec["namespaces"])] = host["name"]
        _process_control(PR_SET_CHILD_SUBREAPER, 1)  # what a killed keeper leaves behind comes here
        while self.keepers:
            ready, _, _ = select.select([0, wake], [], [])
            if wake in ready:
                os.read(wake, 4096)
                self.reap()
            if 0 in ready:
                self.obey(os.read(0, 65536))
        _end_orphans()

    def obey(self, text: bytes) -> None:
        """Do what the cloud says; silence from it means that it is gone."""
        if not text:
            self.signal(signal.SIGKILL, None)
            while self.keepers:
                self.reap(block=True)
        for line in text.splitlines():
            command = json.loads(line)
            self.signal(command["signal"], command.get("host"))

    def signal(self, number: int, host: str | None) -> None:
        """Signal the first process of ``host``, or of all hosts."""
        for pid, name in self.keepers.items():
            if host in (None, name):
                os.kill(pid, number)

    def reap(self, *, block: bool = False) -> None:
        """Report the hosts that have ended."""
        while self.keepers:
            pid, status = os.waitpid(-1, 0 if block else os.WNOHANG)
            if pid == 0:
                return
            if pid in self.keepers:
                _tell(host=self.keepers.pop(pid), exit=_exit_code(status))


def _tell(**event: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # the cloud is gone, and with it whoever wants to know
        os.write(1, json.dumps(event).encode() + b"\n")


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else KILLED - code


def _process_control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start_keeper(host: dict[str, Any], namespaces: bool) -> int:
    pid = os.fork()
    if pid:
        _tell(host=host["name"], pid=pid)
        return pid
    try:
        os._exit(_keep(host, namespaces))
    except BaseException as error:  # the fork must end here, whatever happened; its output tells
        os.write(2, f"the container of {host['name']} could not be made: {error}\n".encode())
        os._exit(125)


def _keep(host: dict[str, Any], namespaces: bool) -> int:
    """Run the host's container to its end; returns its exit code."""
    first = 0

    def pass_on(number: int, _: object) -> None:
        if first:
            os.kill(first, number)
        else:
            os._exit(KILLED + number)

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, pass_on)
    os.setsid()
    _process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    _process_control(PR_SET_CHILD_SUBREAPER, 1)
    _take_output(host["output"])
    if namespaces:
        namespace.separate(host["name"])
    first = os.fork()
    if first == 0:
        _become(host, namespaces)
    status = 0
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == first:
            break
    _end_orphans()
    return _exit_code(status)


def _take_output(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.closerange(3, 4096)


def _become(host: dict[str, Any], namespaces: bool) -> None:
    """Turn into the container's first process."""
    try:
        _process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if namespaces:
            namespace.arrange(host["staging"], [tuple(bind) for bind in host["binds"]])
        os.chdir(host["folder"])
        os.execvpe(host["command"][0], host["command"], host["environment"])
    except OSError as error:
        os.write(2, f"cannot run {host['command'][0]!r}: {error}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _end_orphans() -> None:
    """Kill what the first process left behind; with namespaces the system has done so already."""
    while True:
        for pid in _children_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children_of(parent: int) -> list[int]:
    try:
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except OSError:  # no procfs (macOS): the process group of the first process has ended with it
        return []
    return [int(pid) for pid in listed.split()]


def main() -> None:
    """Read the job's specification and run it."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    if spec["namespaces"]:
        namespace.enter(isolated=spec["isolated"])
    Warden(spec).run()


if __name__ == "__main__":
    main()
