"""Which servers a request goes to: fleets with shares of the traffic, changed between two requests."""

from __future__ import annotations

import random
import threading
from typing import NamedTuple

from local.sagemaker.fleets import Fleet, Variant
from local.sagemaker.servers import Server


class NotServing(Exception):
    """No fleet takes requests: the endpoint is not in service."""


class Taken(NamedTuple):
    """The server that a request was counted in at; ``server.leave()`` counts it out."""

    fleet: Fleet
    variant: Variant
    server: Server


class Traffic:
    """The fleets of one endpoint that take requests, each with its share.

    A request is counted in at a server in the same breath as its fleet is chosen. So a fleet that was taken out of
    the route gets no request any more, and can be drained.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._route: list[tuple[Fleet, float]] = []

    def send_to(self, *route: tuple[Fleet, float]) -> None:
        """Send traffic to these fleets by their shares, and to no other, from the next request on."""
        with self._lock:
            self._route = [(fleet, share) for fleet, share in route if share > 0]

    def take(self, wanted: str | None) -> Taken | None:
        """Choose a server and count a request in; None when the variant is at its limit.

        Raises:
            NotServing: when no fleet takes requests.
            KeyError: for a ``wanted`` variant that the chosen fleet has not.
            NoServer: when the variant has no instances.
        """
        with self._lock:
            if not self._route:
                raise NotServing
            fleets, shares = zip(*self._route, strict=True)
            fleet = random.choices(fleets, shares)[0]
            taken = fleet.take(wanted)
        return None if taken is None else Taken(fleet, *taken)
