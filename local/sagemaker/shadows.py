"""Shadow variants: a copy of some requests, whose answers nobody sees.

Source: "Testing models with shadow variants" and ``ShadowProductionVariants`` of CreateEndpointConfig. A copy is sent
beside its request, and one more is dropped where too many are on their way: a slow shadow slows nobody.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from typing import TYPE_CHECKING

from local.sagemaker.fleets import Fleet, Variant
from local.sagemaker.meters import Invocation, Meters
from local.sagemaker.servers import INVOCATION_SECONDS, Server

if TYPE_CHECKING:
    from local.cloud import Cloud

MOST_AT_ONCE = 32


class Shadows:
    """Copies requests to shadow variants.

    Args:
        cloud: on whose threads.
        meters: count what the shadows answer.
    """

    def __init__(self, cloud: Cloud, meters: Meters) -> None:
        self.cloud, self.meters = cloud, meters
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    def copy(self, endpoint: str, fleet: Fleet, body: bytes, headers: dict[str, str]) -> None:
        """Send a copy of a request to the fleet's shadow, if it has one and its sample wants it; returns at once."""
        for shadow in fleet.shadows:
            if random.random() < share(fleet, shadow) and self._room.acquire(blocking=False):
                server = fleet.enter(shadow)
                self.cloud.spawn(self._ask, endpoint, fleet, shadow, server, body, headers, name=f"shadow-{endpoint}")

    def _ask(
        self, endpoint: str, fleet: Fleet, shadow: Variant, server: Server, body: bytes, headers: dict[str, str]
    ) -> None:
        began = time.monotonic()
        status, seconds = 500, None
        try:
            status = server.invoke(body, headers, INVOCATION_SECONDS).status
            seconds = time.monotonic() - began
        except (OSError, http.client.HTTPException):
            pass  # the shadow did not answer: that is counted as a 5xx, and concerns nobody else
        finally:
            server.leave()
            self._room.release()
        self.meters.count(
            Invocation(
                endpoint=endpoint,
                config=fleet.config,
                variant=shadow.name,
                instances=len(shadow.servers),
                status=status,
                model_seconds=seconds,
                seconds=time.monotonic() - began,
            )
        )


def share(fleet: Fleet, shadow: Variant) -> float:
    """Return the share of requests that are copied: the shadow's weight in proportion to the production variant's."""
    whole = sum(variant.weight for variant in fleet.variants)
    return min(1.0, shadow.weight / whole) if whole else 1.0
