"""One laptop cloud: moto's server with every gap closed, and what must be stopped with it.

moto keeps its state in module globals, so a process holds at most one Cloud.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from local import gaps
from local.clock import Clock

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"


class Cloud:
    """The laptop cloud of this process.

    Args:
        root: folder for the files of jobs, functions and images; made if missing.
        port: TCP port of the AWS endpoint; 0 takes a free one.
        clock: how fast waits pass.
    """

    def __init__(self, *, root: Path, port: int = 0, clock: Clock | None = None) -> None:
        self.root = Path(root).resolve()
        self.clock = clock or Clock()
        self.stopping = threading.Event()
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        self._closers: list[Callable[[], None]] = []

    @property
    def url(self) -> str:
        """The endpoint URL; ``localhost``, because moto knows template URLs only so."""
        return f"http://localhost:{self._server.get_host_and_port()[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point any AWS client of a child process at this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "laptop",
            "AWS_SECRET_ACCESS_KEY": "laptop",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this cloud, without retries that would hide a fault."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="laptop",
            aws_secret_access_key="laptop",
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def on_stop(self, closer: Callable[[], None]) -> None:
        """Have ``closer`` called when the cloud stops, last added first."""
        self._closers.append(closer)

    def start(self) -> Cloud:
        """Close the gaps and serve; returns when the endpoint answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        gaps.install_all(self)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop every process and thread this cloud started, then the server."""
        self.stopping.set()
        while self._closers:
            self._closers.pop()()
        self._server.stop()

    def __enter__(self) -> Cloud:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
