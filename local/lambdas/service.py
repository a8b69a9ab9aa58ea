"""Invocation of whatever is deployed: finds the pool of a function version and lends it a sandbox."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.awslambda.models import lambda_backends

from local.chaos import functions
from local.lambdas import archive
from local.lambdas.config import FunctionConfig, from_moto
from local.lambdas.container import container
from local.lambdas.meters import Meters
from local.lambdas.outcome import Result
from local.lambdas.pool import Pool
from local.lambdas.surroundings import Surroundings
from local.permissions import platform

if TYPE_CHECKING:
    from local.cloud import Cloud

CONCURRENCY = 32  # sandboxes busy at once on a laptop; the next invocation waits (AWS: 1,000, then throttles)
IDLE_S = 300.0  # a sandbox idle for longer goes
REAP_EVERY_S = 30.0


class Throttled(Exception):
    """The function's reserved concurrency is used up."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One event for one function.

    Args:
        function: moto's model of the version to run.
        arn: as invoked, alias included.
        payload: JSON bytes.
        request_id: AwsRequestId; the same for all attempts of an asynchronous event.
        client_context: JSON, or "".
        state: of the state machine that asks, or "".
    """

    function: Any
    arn: str
    payload: bytes
    request_id: str
    client_context: str = ""
    state: str = ""


class Lambdas:
    """Lambda's data plane."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._pools: dict[str, Pool] = {}
        self._running: dict[str, int] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(CONCURRENCY)
        self._folder = cloud.root / "lambda"
        self._meters = Meters(cloud)
        cloud.on_stop(self.close)
        threading.Thread(target=self._reap, name="lambda-reaper", daemon=True).start()

    def resolve(self, name: str, qualifier: str | None = None) -> tuple[Any, str]:
        """Return moto's function version and the ARN as invoked; an alias may spread over two versions.

        Raises moto's ResourceNotFoundException for what does not exist.
        """
        backend = lambda_backends[self.cloud.account][self.cloud.region]
        function = backend.get_function(name, qualifier)
        qualified = name.count(":") in (1, 7)  # function:alias, or the eighth part of an ARN
        asked = qualifier or (name.rsplit(":", 1)[1] if qualified else "")
        if not asked or asked == "$LATEST":
            return function, function.function_arn
        plain = ":".join(function.function_arn.split(":")[:7])
        if not asked.isdigit():
            version = _draw(backend.get_alias(asked, function.function_name).routing_config)
            function = backend.get_function(function.function_name, version) if version else function
        return function, f"{plain}:{asked}"

    def run(self, invocation: Invocation) -> Result:
        """Run one attempt now.

        Raises:
            Throttled: when the function's reserved concurrency is used up.
        """
        config, code = self._program(invocation.function)
        limit = invocation.function.reserved_concurrency
        fault = functions.strike(config.handler, invocation.payload, invocation.state)
        with self._lock:
            if limit is not None and self._running.get(config.name, 0) >= int(limit):
                raise Throttled(config.name)
            self._running[config.name] = self._running.get(config.name, 0) + 1
        began = time.monotonic()
        try:
            with self._slots, self._pool(config, invocation.function, code).sandbox() as sandbox:
                result = sandbox.invoke(
                    invocation.payload,
                    request_id=invocation.request_id,
                    arn=invocation.arn,
                    client_context=invocation.client_context,
                    fault=fault,
                )
            took = (time.monotonic() - began) * 1000
            self._meters.count(invocation.arn, config.version, milliseconds=took, failed=bool(result.error))
            return result
        finally:
            with self._lock:
                self._running[config.name] -= 1

    def invocation(
        self, name: str, payload: bytes, *, qualifier: str | None = None, context: str = "", state: str = ""
    ) -> Invocation:
        """Make an invocation of ``name`` (name, ARN, with or without qualifier).

        Raises:
            NotImplementedError: for functions that are not Python.
        """
        function, arn = self.resolve(name, qualifier)
        if function.package_type == "Zip" and not str(function.run_time).startswith("python"):
            raise NotImplementedError(
                f"function {function.function_name}: runtime {function.run_time}; Python runs here"
            )
        return Invocation(
            function=function,
            arn=arn,
            payload=payload or b"{}",
            request_id=str(uuid.uuid4()),
            client_context=context,
            state=state,
        )

    def close(self) -> None:
        """End every sandbox."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close(busy=True)

    def _program(self, function: Any) -> tuple[FunctionConfig, Path | None]:
        """Return a function's configuration, and the folder of its code where that is an image's."""
        config = from_moto(function)
        if function.package_type == "Zip":
            return config, None
        found = container(self.cloud, function)
        return found.configure(config), found.root

    def _pool(self, config: FunctionConfig, function: Any, root: Path | None) -> Pool:
        with self._lock:
            pool = self._pools.get(config.arn)
            if pool is not None and pool.config.fingerprint == config.fingerprint:
                return pool
            if pool is not None:  # code or configuration changed: the old sandboxes end when they are done
                pool.close(busy=False)
            code = root or archive.unpack(function.code_bytes, self._folder / "code")
            fresh = Pool(config, [code, *self._layers(function)], self._surroundings(config))
            self._pools[config.arn] = fresh
            return fresh

    def _layers(self, function: Any) -> list[Path]:
        """Unpack the layers of this account; those of others are what the Python environment has."""
        backend = lambda_backends[self.cloud.account][self.cloud.region]
        versions = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
        return [archive.unpack(version.code_bytes, self._folder / "layers") for version in versions if version]

    def _surroundings(self, config: FunctionConfig) -> Surroundings:
        cloud = self.cloud
        return Surroundings(
            account=cloud.account,
            region=cloud.region,
            environment=lambda role: cloud.callers.environment(role, config.name),
            stream=lambda name: platform.log_stream(cloud, config.role, config.name, config.log_group, name),
            scratch=self._folder / "tmp",
            publish=self._publish_metrics,
        )

    def _publish_metrics(self, namespace: str, data: list[dict[str, Any]]) -> None:
        self.cloud.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)

    def _reap(self) -> None:
        while not self.cloud.stopping.wait(REAP_EVERY_S):
            with self._lock:
                pools = list(self._pools.values())
            for pool in pools:
                pool.reap(IDLE_S)


def _draw(routing: Any) -> str | None:
    """Return the additional version that an alias's weights choose for one invocation, or None for its main one."""
    drawn = random.random()
    for version, weight in ((routing or {}).get("AdditionalVersionWeights") or {}).items():
        if drawn < weight:
            return str(version)
        drawn -= weight
    return None
