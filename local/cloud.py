"""One laptop cloud: moto's server with every gap closed, and what must be stopped with it.

moto keeps its state in module globals, so a process holds at most one Cloud.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local import gaps
from local.callers import Callers
from local.calls import Calls
from local.chaos.calls import say_who_asks
from local.clock import Clock
from local.permissions.guard import Guard
from local.quotas import Quotas
from local.server import Server, WsgiApplication
from local.trail import CloudTrail

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"

log = logging.getLogger(__name__)


class Cloud:
    """The laptop cloud of this process.

    Args:
        root: folder for the files of jobs, functions and images; made if missing.
        port: TCP port of the AWS endpoint; 0 takes a free one.
        clock: how fast waits pass.
    """

    account = ACCOUNT
    region = REGION

    def __init__(self, *, root: Path, port: int = 0, clock: Clock | None = None) -> None:
        self.root = Path(root).resolve()
        self.clock = clock or Clock()
        self.stopping = threading.Event()
        self.callers, self.calls, self.quotas = Callers(self), Calls(), Quotas()
        self.guard = Guard(self)
        self._server = Server(port, self.guard.admit, CloudTrail(self).hear)
        self._closers: list[Callable[[], None]] = []
        self._clients: dict[str, Any] = {}
        self._clients_lock = threading.Lock()
        # Of its own: boto3's default one is shared with others. It reads each service's description once.
        self._session: Any = boto3.Session(region_name=self.region)  # its stubs know services by literals
        self._session_lock = threading.Lock()  # sessions, unlike clients, are not thread-safe

    @property
    def url(self) -> str:
        """The endpoint URL; ``localhost``, because moto knows template URLs only so."""
        return f"http://localhost:{self._server.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point any AWS client of a child process at this cloud, and at nothing else.

        A person's own AWS configuration could name other endpoints, or have AWS_ENDPOINT_URL ignored, and a machine
        in AWS would offer its role; a proxy cannot reach this machine's ``localhost``.
        """
        direct = ",".join(dict.fromkeys(filter(None, [*_without_proxy().split(","), "localhost", "127.0.0.1"])))
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_ACCESS_KEY_ID": "laptop",
            "AWS_SECRET_ACCESS_KEY": "laptop",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": direct,
            "no_proxy": direct,
        }

    def client(self, service: str) -> Any:
        """Return the boto3 client of this cloud for ``service``, without retries that would hide a fault.

        Clients are made once and shared: they are thread-safe, and making one costs 0.1 s.
        """
        with self._clients_lock:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def spawn(self, work: Callable[..., object], *args: Any, name: str) -> None:
        """Do ``work`` on a thread that does not keep the cloud from stopping; its errors are logged."""
        threading.Thread(target=self._guard, args=(work, *args), name=name, daemon=True).start()

    def mount(self, prefix: str, application: WsgiApplication) -> None:
        """Have requests for paths that start with ``prefix`` answered by ``application``, not by moto."""
        self._server.mounts[prefix] = application

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

    def make_client(self, service: str, key: str = "laptop", secret: str = "laptop", token: str = "") -> Any:
        """Return a new client with these credentials; a person's, or a role's (see ``callers``)."""
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            read_timeout=1000,
            proxies={},  # what the environment names cannot reach this machine's localhost
            max_pool_connections=64,
        )
        with self._session_lock:
            client = self._session.client(
                service,
                endpoint_url=self.url,
                config=config,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                aws_session_token=token or None,
            )
        say_who_asks(client)
        return client

    def _guard(self, work: Callable[..., object], *args: Any) -> None:
        try:
            work(*args)
        except Exception:
            if not self.stopping.is_set():  # while the cloud stops, a refused connection is no news
                log.exception("background work failed: %s", threading.current_thread().name)


def _without_proxy() -> str:
    """Return the hosts that the person's environment keeps from the proxy, as the variable says them."""
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
