"""Child programs end with what they left behind, and say why they failed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli import children, laptop
from cli.children import Child
from cli.errors import CommandError

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Child]]:
    """Start a module of this source as a child."""
    monkeypatch.setattr(children, "STARTS_FROM", tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    children.end_on_signals()  # as every command does; a shell's background job starts with Ctrl-C ignored

    def start(source: str) -> Child:
        (tmp_path / "program.py").write_text(source)
        return Child("program", log=tmp_path / "log")

    yield start
    for number, handler in before.items():
        signal.signal(number, handler)


def _first_line(child: Child) -> str:
    assert child.log
    while not (text := child.log.read_text()).endswith("\n"):
        time.sleep(0.02)
    return text.splitlines()[0]


def test_a_child_that_does_not_listen_is_ended_with_its_own_children(
    program: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS", 0.2)
    with program(STUBBORN) as child:
        grandchild = psutil.Process(int(_first_line(child)))
    assert child.process.poll() is not None
    grandchild.wait(5)
    assert not grandchild.is_running()


def test_a_child_may_stop_what_it_started_by_itself(program: Callable[[str], Child]) -> None:
    source = "import time\nprint('up', flush=True)\ntry: time.sleep(600)\nexcept KeyboardInterrupt: print('tidy')"
    with program(source) as child:
        _first_line(child)
    assert child.process.returncode == 0
    assert child.tail() == "up\ntidy"


def test_a_failed_child_shows_the_end_of_its_output(program: Callable[[str], Child]) -> None:
    with program("print('a')\nraise SystemExit('no room')") as child, pytest.raises(CommandError) as caught:
        child.wait()
    assert "exit code 1" in caught.value.message
    assert caught.value.message.endswith("a\nno room")


def test_a_shell_that_reads_the_laptop_s_exports_chooses_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "a folder.sh"
    laptop._write_exports(path, {"AWS_ENDPOINT_URL": "http://localhost:4566", "NO_PROXY": "a b"})
    own = {"PATH": os.environ["PATH"], "AWS_PROFILE": "work", "AWS_ENDPOINT_URL_S3": "http://elsewhere"}
    command = ["sh", "-euc", f". '{path}'; env"]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("AWS_", "NO_PROXY"))]
    assert sorted(lines) == ["AWS_ENDPOINT_URL=http://localhost:4566", "NO_PROXY=a b"]


def test_a_laptop_cloud_that_dies_at_start_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local.py").write_text("raise SystemExit('port 4566 is taken')")
    monkeypatch.setattr(children, "STARTS_FROM", tmp_path)
    with pytest.raises(CommandError, match="port 4566 is taken"), laptop.running(tmp_path / "root", port=4566):
        pass
