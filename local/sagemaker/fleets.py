"""The servers of one endpoint configuration: variants, weights, instances."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.sagemaker.model_images import ModelImages, NoFleet
from local.sagemaker.servers import INVOCATION_SECONDS, Server, Unhealthy

if TYPE_CHECKING:
    from local.cloud import Cloud

NEVER_HEALTHY = (
    "The primary container for production variant {} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)
STARTUP_SECONDS = 480.0  # a container has 8 minutes to become healthy
ASYNC_SECONDS = 3600.0  # the longest InvocationTimeoutSeconds
ASYNC_AT_ONCE = 4  # requests sent to an instance where nothing is said: SageMaker chooses
SHORTEST_STARTUP = 30.0  # real seconds, however fast the clock: starting is work, not waiting


class NoServer(Exception):
    """A variant has no instance: it was scaled to none."""


@dataclass(kw_only=True)
class Variant:
    """One production variant in service.

    Args:
        config: its entry in the endpoint configuration.
        weight: its share of the traffic.
        desired: how many servers it is to have.
        at_once: how many requests a server is sent at once; None without a limit.
    """

    config: dict[str, Any]
    weight: float
    desired: int = 1
    at_once: int | None = None
    servers: list[Server] = field(default_factory=list)
    image: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def name(self) -> str:
        """Its name."""
        name: str = self.config["VariantName"]
        return name

    @property
    def concurrency(self) -> int | None:
        """How many requests it takes at once; None without a limit."""
        if self.at_once is not None:
            return self.at_once * len(self.servers)
        return self.config.get("ServerlessConfig", {}).get("MaxConcurrency")

    @property
    def in_flight(self) -> int:
        """How many requests it is answering."""
        return sum(server.in_flight for server in self.servers)


class Fleet:
    """All servers of an endpoint.

    Args:
        cloud: where they run.
        config: name of the endpoint configuration.
        folder: for their files.
        variants: entries of ProductionVariants.
        shadows: entries of ShadowProductionVariants.
        capture: DataCaptureConfig; {} without one.
        asynchronous: AsyncInferenceConfig; {} where requests do not wait in a queue.
        model: returns a model's container definition by name, with its isolation.
        on_line: called with ``<variant>/<instance>`` and each line printed.
    """

    def __init__(
        self,
        *,
        cloud: Cloud,
        config: str,
        folder: Path,
        variants: list[dict[str, Any]],
        shadows: list[dict[str, Any]],
        capture: dict[str, Any],
        asynchronous: dict[str, Any],
        model: Callable[[str], dict[str, Any]],
        on_line: Callable[[str, str], None],
    ) -> None:
        self.cloud, self.config, self.folder = cloud, config, folder
        self._images = ModelImages(cloud=cloud, folder=folder, model=model, on_line=on_line)
        client = asynchronous.get("ClientConfig", {})
        at_once = client.get("MaxConcurrentInvocationsPerInstance", ASYNC_AT_ONCE) if asynchronous else None
        self.variants, self.shadows = _variants(variants, at_once), _variants(shadows)
        self.capture, self.asynchronous = capture, asynchronous
        self.role = ""  # the model's, as soon as a server of it is started
        self._patience = ASYNC_SECONDS if asynchronous else INVOCATION_SECONDS
        self._lock = threading.Lock()
        self._starting: list[Server] = []  # of a variant that is scaled out: they take no request yet
        self._closed = False

    def client(self, service: str) -> Any:
        """Return the client with which the platform acts for the endpoint."""
        return self.cloud.callers.client(self.role, service, "SageMaker")

    @property
    def all_variants(self) -> list[Variant]:
        """Production and shadow variants."""
        return [*self.variants, *self.shadows]

    def start(self) -> None:
        """Bring every server into service; raises NoFleet, and then none is left."""
        try:
            for variant in self.all_variants:
                self._start(variant, variant.desired, variant.servers)
            self._wait_for([(variant, server) for variant in self.all_variants for server in variant.servers])
        except BaseException:
            self.close()
            raise

    def scale(self, variant: Variant, count: int) -> None:
        """Bring servers of ``variant`` up or let some go, until there are ``count``.

        Raises NoFleet when new ones do not come up; then there are as many as before.
        """
        variant.desired = count
        if count > len(variant.servers):
            self._grow(variant, count - len(variant.servers))
        with self._lock:
            leaving, variant.servers[count:] = variant.servers[count:], []
        for server in leaving:
            server.drain(self._patience)
            server.close()

    def take(self, wanted: str | None) -> tuple[Variant, Server] | None:
        """Choose a server for a request and count the request in; None when the variant is at its limit.

        Raises KeyError for a ``wanted`` variant that does not exist, NoServer for one without instances.
        """
        with self._lock:
            variant = self._choose(wanted)
            if variant.concurrency is not None and variant.in_flight >= variant.concurrency:
                return None
            return variant, _enter(variant)

    def enter(self, variant: Variant) -> Server:
        """Count a request in at the least busy server of a variant, and return it."""
        with self._lock:
            return _enter(variant)

    def drain(self) -> None:
        """Let requests in flight end, then stop every server."""
        for variant in self.all_variants:
            for server in variant.servers:
                server.drain(self._patience)
        self.close()

    def close(self) -> None:
        """Kill every server."""
        with self._lock:
            self._closed = True
            servers = [*self._starting, *(server for variant in self.all_variants for server in variant.servers)]
        for server in servers:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _choose(self, wanted: str | None) -> Variant:
        if wanted is not None:
            return {variant.name: variant for variant in self.variants}[wanted]
        weights = [variant.weight for variant in self.variants]
        return random.choices(self.variants, weights if any(weights) else None)[0]

    def _grow(self, variant: Variant, count: int) -> None:
        try:
            self._wait_for([(variant, server) for server in self._start(variant, count, self._starting)])
        except BaseException:
            variant.desired = len(variant.servers)
            for server in self._starting:
                server.close()
            raise
        else:
            with self._lock:
                variant.servers += self._starting
        finally:
            with self._lock:
                self._starting = []

    def _wait_for(self, servers: list[tuple[Variant, Server]]) -> None:
        """Return when all are healthy; raises NoFleet as soon as one is not, and then none is waited for."""
        with ThreadPoolExecutor(max_workers=len(servers)) as pool:
            waits = [pool.submit(self._wait, variant, server) for variant, server in servers]
            try:
                for wait in as_completed(waits):
                    wait.result()
            except NoFleet:
                for _, server in servers:
                    server.close()  # the others need not be waited for
                raise

    def _start(self, variant: Variant, count: int, servers: list[Server]) -> list[Server]:
        """Start ``count`` servers of ``variant``, and add them to ``servers``."""
        image = self._images.of(variant.name, variant.config["ModelName"])
        variant.image, self.role = image.name, image.definition["ExecutionRoleArn"]
        for _ in range(count):
            server = self._images.server(image, variant.name, next(variant.numbers))
            with self._lock:
                if self._closed:
                    raise NoFleet("The endpoint was stopped while its servers were started")
                servers.append(server.start())
        return servers

    def _wait(self, variant: Variant, server: Server) -> None:
        asked = variant.config.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_SECONDS)
        try:
            server.wait_until_healthy(max(self.cloud.clock.seconds(asked), SHORTEST_STARTUP))
        except Unhealthy as error:
            raise NoFleet(f"{NEVER_HEALTHY.format(variant.name)} ({error})") from error


def _variants(entries: list[dict[str, Any]], at_once: int | None = None) -> list[Variant]:
    return [
        Variant(
            config=each,
            weight=each.get("InitialVariantWeight", 1.0),
            desired=each.get("InitialInstanceCount", 1),
            at_once=at_once,
        )
        for each in entries
    ]


def _enter(variant: Variant) -> Server:
    if not variant.servers:
        raise NoServer(f"Variant {variant.name} has no instances")
    server = min(variant.servers, key=lambda each: each.in_flight)
    server.enter()
    return server
