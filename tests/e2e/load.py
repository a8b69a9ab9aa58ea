"""Requests to an endpoint, as many as a few connections can make, and what became of each."""

from __future__ import annotations

import collections
import http.client
import json
import threading
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.app import App

SIGNED = "AWS4-HMAC-SHA256 Credential=laptop/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0"
HEADERS = {"Content-Type": "application/json", "Authorization": SIGNED}


class Load:
    """Asks an endpoint the same question on some connections, until it is left.

    Args:
        app: whose laptop cloud.
        endpoint: its name.
        row: one instance.
        connections: kept alive, each with one request at a time.
    """

    def __init__(self, app: App, endpoint: str, row: dict[str, Any], *, connections: int = 2) -> None:
        self.url = urlsplit(app.cloud.client("sagemaker-runtime").meta.endpoint_url)
        self.path, self.body = f"/endpoints/{endpoint}/invocations", json.dumps({"instances": [row]})
        self.answered: collections.Counter[int] = collections.Counter()
        self.by: collections.Counter[str] = collections.Counter()  # variant that answered
        self.failed: list[str] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, requests: int) -> None:
        """Go on until so many requests were answered."""
        while self.answered.total() < requests and any(thread.is_alive() for thread in self._threads):
            self._stop.wait(0.02)

    def _ask(self) -> None:
        assert self.url.hostname
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", self.path, self.body, HEADERS)
                answer = connection.getresponse()
                body = answer.read()
            except OSError as error:
                self._note(0, repr(error).encode())
                return
            self._note(answer.status, body, answer.headers.get("x-Amzn-Invoked-Production-Variant", ""))
        connection.close()

    def _note(self, status: int, body: bytes, variant: str = "") -> None:
        with self._lock:
            self.answered[status] += 1
            if status == 200:
                self.by[variant] += 1
            else:
                self.failed.append(body.decode(errors="replace")[:300])
