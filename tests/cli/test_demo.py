"""The demo keeps its promise, and leaves no process behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli.errors import Exit

ROOT = Path(__file__).parents[2]


def _demo(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cli", "demo", "--json", "--root", str(folder / "root"), *arguments]
    return subprocess.Popen(
        [*command, "--reports", str(folder / "reports")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _left(folder: Path) -> list[str]:
    """Return the command lines that mention the demo's folder, after a while to end in: the cloud stops its jobs."""
    deadline = time.monotonic() + 30
    while found := [line for line in _command_lines() if str(folder) in line]:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


def _command_lines() -> list[str]:
    return [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]


def _own_account(folder: Path, url: str) -> dict[str, str]:
    """The environment of a person who works with a real account, behind a proxy: all of it leads to ``url``."""
    (folder / "config").write_text(
        "[default]\nignore_configured_endpoint_urls = true\n[profile work]\nregion = eu-west-1\n"
    )
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
    endpoints = {f"AWS_ENDPOINT_URL{service}": url for service in ("", "_S3", "_SFN", "_CLOUDFORMATION", "_SAGEMAKER")}
    account = {"AWS_PROFILE": "work", "AWS_CONFIG_FILE": str(folder / "config"), "AWS_REGION": "eu-west-1"}
    return {**proxies, **endpoints, **account, "AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "real"}


def test_it_ends_with_a_served_model_and_one_line_of_json_and_speaks_to_no_other_account(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        demo = _demo(tmp_path, environment=_own_account(tmp_path, f"http://127.0.0.1:{trap.getsockname()[1]}"))
        stdout, stderr = demo.communicate(timeout=280)
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert demo.returncode == Exit.GOOD, stderr[-3000:]
    (line,) = stdout.splitlines()
    summary = json.loads(line)
    assert summary["outcome"] == "DEPLOYED"
    assert summary["accuracy"] >= 0.97
    assert 0 < summary["usd_actual"] < summary["usd_expected"] * 20
    assert summary["prediction"]["label"] == summary["prediction"]["truth"]
    assert Path(summary["report"]).read_text().count("</html>") == 1
    assert "epoch 15/15" in stderr
    assert _left(tmp_path) == []


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.more), signal.SIGKILL])
def test_it_may_be_ended_while_it_trains(tmp_path: Path, number: signal.Signals) -> None:
    demo = _demo(tmp_path)
    assert demo.stderr
    assert any("Train on spot" in line for line in demo.stderr)
    time.sleep(1)
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode == (-signal.SIGKILL if number == signal.SIGKILL else Exit.INTERRUPTED)
    assert _left(tmp_path) == []
