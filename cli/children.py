"""Child programs that end with this one, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

import psutil

from cli.errors import CommandError

STOP_SECONDS = 30.0
STARTS_FROM = Path(__file__).resolve().parent.parent  # where `python -m local` and `python -m infra.apply` are


class Child:
    """A program of ours, in a session of its own so that Ctrl-C reaches it only through us.

    Args:
        module: what ``python -m`` runs.
        arguments: its arguments.
        environment: variables to add to this process's.
        log: file for what it prints; None shows it on stderr.
        folder: where it starts; by default where our own programs are.
        leash: give it a standard input that ends when this process does, even if that is killed.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        folder: Path | None = None,
        leash: bool = False,
    ) -> None:
        self.module, self.log = module, log
        output = log.open("wb") if log else None
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=folder or STARTS_FROM,
                env={**os.environ, "PATH": _path(), "PYTHONUNBUFFERED": "1", **(environment or {})},
                stdin=subprocess.PIPE if leash else subprocess.DEVNULL,
                stdout=output or sys.stderr,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def wait(self) -> None:
        """Wait for the program to end well.

        Raises:
            CommandError: when it ends with another exit code than 0.
        """
        if self.process.wait():
            raise self.failed()

    def check(self) -> None:
        """Raise when the program has ended.

        Raises:
            CommandError: with the end of what it printed.
        """
        if self.process.poll() is not None:
            raise self.failed()

    def failed(self) -> CommandError:
        """Return the error of a program that ended when it should not have."""
        return CommandError(
            f"python -m {self.module} ended with exit code {self.process.returncode}.\n{self.tail()}".rstrip(),
            f"Its whole output is in {self.log}." if self.log else "",
        )

    def tail(self, lines: int = 20) -> str:
        """Return the end of what the program printed, as far as it went to a file."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log else ""

    def stop(self) -> None:
        """Have the program stop what it started; after 30 s, end it and all that is left of it."""
        with _uninterrupted():
            self._stop()

    def _stop(self) -> None:
        family = self._family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _family(self) -> list[psutil.Process]:
        try:
            head = psutil.Process(self.process.pid)
            return [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _path() -> str:
    """Return PATH with this environment's programs first, among them its Node.js."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C for a while: a second one must not leave behind what the first one stops."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end_on_signals() -> None:
    """Have SIGTERM and SIGHUP end this program as Ctrl-C does, so that its children are stopped.

    Ctrl-C too: a shell's background job starts with it ignored.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
