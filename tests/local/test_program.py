"""The laptop cloud as a program: it says where it is, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from tests.local.functions import TRUST, packed

SLEEPER = (
    "import subprocess, os, time\ndef handler(e, c):\n    subprocess.Popen(['sleep', '600'])\n    return os.getpid()\n"
)


@contextmanager
def program(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the program; give the process and the line it announced."""
    command = [sys.executable, "-m", "local", "--port", "0", "--root", str(root), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def family_with_a_function(process: subprocess.Popen[str], announced: dict[str, Any]) -> list[psutil.Process]:
    """Run a function that starts a process of its own; return all of them."""
    session: Any = boto3.Session(aws_access_key_id="laptop", aws_secret_access_key="laptop", region_name="us-east-1")
    client = session.client("lambda", endpoint_url=announced["endpoint_url"])
    iam = session.client("iam", endpoint_url=announced["endpoint_url"])
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role, "Timeout": 20}
    client.create_function(FunctionName="f", Code={"ZipFile": packed(SLEEPER)}, **settings)
    client.invoke(FunctionName="f")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 2
    return family


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_announces_itself_and_ends_with_all_it_started(tmp_path: Path, number: signal.Signals) -> None:
    with program(tmp_path, "--bootstrap") as (process, announced):
        assert announced["environment"]["AWS_ENDPOINT_URL"] == announced["endpoint_url"]
        assert announced["endpoint_url"].startswith("http://localhost:")
        family = family_with_a_function(process, announced)
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert _gone(family)
    assert Path(announced["log"]).exists()


def test_it_ends_with_its_parent_when_asked(tmp_path: Path) -> None:
    with program(tmp_path, "--with-parent") as (process, _):
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_killed_it_still_leaves_no_function_behind(tmp_path: Path) -> None:
    with program(tmp_path) as (process, announced):
        family = family_with_a_function(process, announced)
        process.kill()
        process.wait()
        assert _gone(family)


def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "local", "--port", str(taken.getsockname()[1]), "--root", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr


def _gone(family: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 10
    while any(_runs(process) for process in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_persons_own_account_is_never_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\nignore_configured_endpoint_urls = true\n")
    with socket.create_server(("127.0.0.1", 0)) as trap:
        elsewhere = f"http://127.0.0.1:{trap.getsockname()[1]}"
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_LAMBDA", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, elsewhere)
        monkeypatch.setenv("AWS_PROFILE", "work")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("no_proxy", "intranet")
        with program(tmp_path, "--bootstrap") as (_, announced):
            told = announced["environment"]
            clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            code = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**clean, **told},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert done.stdout.startswith("cdk-")
    assert told["no_proxy"] == "intranet,localhost,127.0.0.1"


def test_a_folder_is_of_one_cloud_at_a_time_and_empty_for_the_next(tmp_path: Path) -> None:
    with program(tmp_path, "--with-parent") as (process, announced):
        left = Path(announced["root"]) / "jobs" / "old"
        left.mkdir(parents=True)
        command = [sys.executable, "-m", "local", "--port", "0", "--root", str(tmp_path)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert left.exists()
        process.kill()
        process.wait()
    assert second.returncode == 1
    assert "another laptop cloud uses it; choose another with --root" in second.stderr
    with program(tmp_path):
        assert not left.exists()


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("a file"), lambda path: (path / "cloud/mine").mkdir(parents=True)]
)
def test_a_folder_that_cannot_be_used_is_said_in_words(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "root")
    command = [sys.executable, "-m", "local", "--port", "0", "--root", str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("choose another with --root\n")
    assert len(done.stderr.splitlines()) == 1
