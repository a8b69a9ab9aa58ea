"""What waits at an asynchronous endpoint: requests, oldest first, whatever serves them or whether anything does."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from local.sagemaker.objects import Location
from local.sagemaker.records import now


@dataclass(frozen=True, kw_only=True)
class AsyncRequest:
    """One request.

    Args:
        id: its InferenceId.
        source: where its payload is; None when it came with the request.
        payload: what came with it.
        headers: what the container gets.
        answer, failure: where the answer goes, or what is said of a failure; the latter may be nowhere.
        config: OutputConfig, as it was when the request came.
        ttl: seconds of AWS's that it may wait.
        timeout: seconds that the container may take.
        received: when it came.
        began: the same by ``time.monotonic()``.
    """

    id: str
    source: Location | None
    payload: bytes
    headers: dict[str, str]
    answer: Location
    failure: Location | None
    config: dict[str, Any]
    ttl: int
    timeout: int
    received: datetime = field(default_factory=now)
    began: float = field(default_factory=time.monotonic)


class Backlog(NamedTuple):
    """How an endpoint's queue is: requests that wait or are answered, instances, seconds since the oldest came."""

    endpoint: str
    size: int
    instances: int
    age: float


class Queue:
    """The requests of one endpoint. It belongs to the endpoint and to no fleet, so that updates lose none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[AsyncRequest] = deque()
        self._begun: list[AsyncRequest] = []
        self._is_served = self._closed = False

    def put(self, request: AsyncRequest) -> bool:
        """Add a request; say whether it is the first one, which nobody hands out yet."""
        with self._changed:
            first, self._is_served = not self._is_served, True
            self._waiting.append(request)
            self._changed.notify_all()
        return first

    def first(self) -> AsyncRequest | None:
        """Wait for a request and return the oldest, which stays; None when the endpoint is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting[0]

    def begin(self) -> None:
        """Take the oldest request out: somebody answers it."""
        with self._changed:
            self._begun.append(self._waiting.popleft())

    def end(self, request: AsyncRequest) -> None:
        """Forget a request that was answered or failed."""
        with self._changed:
            self._begun.remove(request)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most ``seconds``."""
        with self._changed:
            self._changed.wait(seconds)

    def close(self) -> None:
        """Lose what waits, because the endpoint goes."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def backlog(self, endpoint: str, instances: int) -> Backlog:
        """Return how the queue is."""
        with self._changed:
            requests = [*self._begun, *self._waiting]
        age = time.monotonic() - min((each.began for each in requests), default=time.monotonic())
        return Backlog(endpoint, len(requests), instances, max(0.0, age))
