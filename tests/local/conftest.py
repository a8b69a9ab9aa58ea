"""A vanilla moto beside the laptop cloud: it shows which gaps moto still has."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from local.cloud import Cloud
from tests.local.hosting import Hosting


@dataclass(frozen=True, kw_only=True)
class Vanilla:
    """moto's server as it comes, in a process of its own, its state machine interpreter switched on."""

    url: str

    def client(self, service: str) -> Any:
        """Return a boto3 client that never retries."""
        make: Any = boto3.client  # its stubs know the services by literal names only
        return make(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="vanilla",
            aws_secret_access_key="vanilla",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


@pytest.fixture(scope="session")
def vanilla() -> Iterator[Vanilla]:
    """A running vanilla moto server."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://localhost:{port}"
        _configure(url, process)
        yield Vanilla(url=url)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def hosting(cloud: Cloud) -> Hosting:
    """An image whose server tells about itself, built once."""
    return Hosting(cloud)


def _free_port() -> int:
    # moto's interpreter calls back on the port it was told, so it must be told a real one, not 0.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configure(url: str, process: subprocess.Popen[bytes]) -> None:
    """Switch moto's interpreter on, once the server answers."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            config = {"stepfunctions": {"execute_state_machine": True}}
            requests.post(f"{url}/moto-api/config", json=config, timeout=10).raise_for_status()
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"moto's server does not answer at {url} (exit status {process.poll()})")
