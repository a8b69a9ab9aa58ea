"""The server as SageMaker runs it: a process, an environment, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import archives

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}
REPOSITORY = Path(__file__).parents[2]
PATIENCE = 30  # seconds, for a busy machine


class Server:
    """One server process; ``lines`` are its log once it has ended."""

    def __init__(self, base: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        variables = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(self.port)}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving", "serve"],
            cwd=REPOSITORY,
            env={**os.environ, "TANDEM_SERVING_HOST": "127.0.0.1", **variables, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> float:
        """Return the seconds from the start of the process to the first 200."""
        while time.perf_counter() - self.started < PATIENCE:
            try:
                if httpx.get(f"{self.url}/ping").status_code == 200:
                    return time.perf_counter() - self.started
            except httpx.ConnectError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"not ready after {PATIENCE} s")

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and the log, parsed."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line) for line in output.decode().splitlines()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    archives.write(tmp_path / "model", archives.CREDIT)
    servers: list[Server] = []

    def start(**environment: str) -> Server:
        servers.append(Server(tmp_path, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_it_serves_over_http_and_ends_on_sigterm(start: Callable[..., Server]) -> None:
    server = start()
    # On an idle machine of 2 cores it takes 0.2 s; the limit leaves room for a busy one.
    assert server.wait_until_ready() < 5
    response = httpx.post(f"{server.url}/invocations", json={"instances": [ROW]})
    assert response.json()["predictions"][0]["label"] in {"bad", "good"}
    server.process.send_signal(signal.SIGTERM)
    code, log = server.end()
    assert code == 0
    assert [line["event"] for line in log] == ["ready", "invocation", "stopped"]
    assert log[1]["status"] == 200
    assert "1800.5" not in json.dumps(log)


def test_a_request_in_flight_is_answered_after_sigterm(start: Callable[..., Server]) -> None:
    server = start()
    server.wait_until_ready()
    body = json.dumps({"instances": [ROW]}).encode()
    lines = ["POST /invocations HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""])
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body[:10])
        time.sleep(0.2)  # the server has the first part
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server)
        connection.sendall(body[10:])
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"predictions"' in answer
    assert server.end()[0] == 0


def wait_until_refused(server: Server) -> None:
    for _ in range(PATIENCE * 50):
        try:
            socket.create_connection(("127.0.0.1", server.port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("the server still takes connections after SIGTERM")


def test_a_body_over_the_payload_limit_of_the_environment_is_413(start: Callable[..., Server]) -> None:
    server = start(SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    server.wait_until_ready()
    headers = {"content-type": "application/json"}
    response = httpx.post(f"{server.url}/invocations", content=b" " * (2**20 + 1), headers=headers)
    assert response.status_code == 413
    assert "larger than 1 MiB" in response.json()["error"]["message"]


def test_a_model_that_cannot_be_served_ends_the_process_with_the_reason(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "model" / "model.onnx").write_bytes(b"altered")
    code, log = start().end()
    assert code == 1
    [line] = [line for line in log if line["level"] == "CRITICAL"]
    assert "model.onnx was altered" in line["message"]


@pytest.mark.parametrize("variable", ["SAGEMAKER_BIND_TO_PORT", "SAGEMAKER_MAX_PAYLOAD_IN_MB"])
def test_a_setting_that_cannot_be_meant_ends_the_process(start: Callable[..., Server], variable: str) -> None:
    code, log = start(**{variable: "80a"}).end()
    assert code == 2
    assert log[0]["message"].startswith(f"{variable}: '80a' is not allowed; expected an integer from 0 to")


def test_a_port_in_use_ends_the_process(start: Callable[..., Server]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, log = start(SAGEMAKER_BIND_TO_PORT=str(taken.getsockname()[1])).end()
    assert code == 1
    assert any("address already in use" in line.get("message", "") for line in log)
