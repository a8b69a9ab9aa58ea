"""InvokeEndpointAsync: a request waits in the endpoint's queue until a server has room for it.

Each queue has one thread that hands requests out, oldest first, as long as some server has room; while there is none,
because none was scaled out yet or an update is on its way, they wait. Each request is answered on a thread of its own.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from local.sagemaker import async_requests
from local.sagemaker.async_attempt import EXPIRED, Attempt, Failed
from local.sagemaker.async_queue import AsyncRequest
from local.sagemaker.endpoints import Endpoint
from local.sagemaker.fleets import Fleet, NoServer, Variant
from local.sagemaker.meters import Meters
from local.sagemaker.traffic import NotServing, Taken

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS = 0.05  # real seconds between two looks for room where nothing tells of it


class AsyncInference:
    """Hands out what waits at asynchronous endpoints.

    Args:
        cloud: on whose threads.
        meters: count what happens.
    """

    def __init__(self, cloud: Cloud, meters: Meters) -> None:
        self.cloud, self.meters = cloud, meters

    def invoke(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> AsyncRequest:
        """Put a request into the endpoint's queue, and return it.

        Raises:
            Refused: when it cannot be meant.
        """
        assert endpoint.fleet is not None  # it is in service
        request = async_requests.parse(endpoint.record.name, endpoint.fleet.asynchronous, headers, body)
        if endpoint.queue.put(request):
            self.cloud.spawn(self._hand_out, endpoint, name=f"async-{endpoint.record.name}")
        return request

    def _hand_out(self, endpoint: Endpoint) -> None:
        while request := endpoint.queue.first():
            fleet = endpoint.fleet
            if fleet and time.monotonic() - request.began > self.cloud.clock.seconds(request.ttl):
                endpoint.queue.begin()
                attempt = self._attempt(endpoint, fleet, fleet.variants[0], request)
                expired = functools.partial(attempt.fail, Failed(EXPIRED, ExpiredRequests=1.0))
                self.cloud.spawn(_finish, attempt, expired, name=f"async-{request.id}")
            elif taken := _take(endpoint):
                endpoint.queue.begin()
                attempt = self._attempt(endpoint, taken.fleet, taken.variant, request)
                work = functools.partial(attempt.work, taken.server)
                self.cloud.spawn(_finish, attempt, work, name=f"async-{request.id}")
            else:
                endpoint.queue.wait(LOOK_SECONDS)

    def _attempt(self, endpoint: Endpoint, fleet: Fleet, variant: Variant, request: AsyncRequest) -> Attempt:
        return Attempt(
            cloud=self.cloud, meters=self.meters, endpoint=endpoint, fleet=fleet, variant=variant, request=request
        )


def _finish(attempt: Attempt, work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        attempt.endpoint.queue.end(attempt.request)


def _take(endpoint: Endpoint) -> Taken | None:
    """Return a server that has room; None while there is none."""
    try:
        return endpoint.traffic.take(None)
    except (NotServing, NoServer):
        return None
