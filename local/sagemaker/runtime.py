"""InvokeEndpoint: a request to a server of an endpoint, and its answer back."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.sagemaker.models import sagemaker_backends

from local.sagemaker.endpoints import Endpoint, Endpoints
from local.sagemaker.fleets import Variant
from local.sagemaker.records import now
from local.sagemaker.servers import INVOCATION_SECONDS, Answer, Server

if TYPE_CHECKING:
    from local.cloud import Cloud

MIB = 1 << 20
BODY_LIMIT, SERVERLESS_LIMIT = 6 * MIB, 4 * MIB
FLUSH_SECONDS = 0.5
NAMESPACE = "AWS/SageMaker"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
PASSED_ON = ("Content-Type", "Accept", ATTRIBUTES, "X-Amzn-SageMaker-Inference-Id")
NOT_EMULATED = ("Target-Model", "Target-Container-Hostname", "Inference-Component", "Session-Id", "Enable-Explanations")


class InvocationRefused(ServiceException):
    """``ValidationError``: the runtime's word for a request that cannot be meant."""

    code = "ValidationError"


class Throttled(ServiceException):
    """A serverless endpoint is at its MaxConcurrency."""

    code = "ThrottlingException"


class ModelError(ServiceException):
    """The container answered 4xx or 5xx, or not at all.

    Args:
        status: its HTTP status; 0 for no answer.
        said: its body, or what happened.
        stream: ARN of its log stream.
    """

    code = "ModelError"

    def __init__(self, status: int, said: str, group: str, stream: str) -> None:
        kind = "client error" if 400 <= status < 500 else "server error"
        super().__init__(
            f'Received {kind} ({status}) from primary with message "{said}". '
            f"See the log group {group} for more information."
        )
        self.OriginalStatusCode, self.OriginalMessage, self.LogStreamArn = status, said, stream


class Runtime:
    """Invokes endpoints and counts what happens in CloudWatch."""

    def __init__(self, cloud: Cloud, endpoints: Endpoints) -> None:
        self.cloud, self.endpoints = cloud, endpoints
        self._lock = threading.Lock()
        self._pending: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_metrics, daemon=True, name="endpoint-metrics")
        self._thread.start()
        cloud.on_stop(self.close)

    def invoke(self, account: str, region: str, name: str, headers: dict[str, str], body: bytes) -> tuple[Answer, str]:
        """Return the container's answer and the variant that gave it; ``headers`` have names in lower case.

        Raises InvocationRefused, Throttled or ModelError.
        """
        endpoint = self._endpoint(account, region, name)
        variant, server = self._take(endpoint, headers, body)
        began = time.monotonic()
        try:
            answer = server.invoke(body, {each: headers[each.lower()] for each in PASSED_ON if each.lower() in headers})
        except TimeoutError as error:
            said = f"Your invocation timed out: no response from container primary within {INVOCATION_SECONDS:.0f} s"
            raise self._failed(endpoint, variant, 0, said) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(endpoint, variant, 0, f"the container did not answer: {error!r}") from error
        finally:
            server.leave()
        self._count(endpoint, variant, answer.status, time.monotonic() - began)
        if answer.status >= 400:
            raise self._model_error(endpoint, variant, answer.status, answer.body.decode(errors="replace"))
        return answer, variant.name

    def close(self) -> None:
        """Send the rest and end."""
        self._stop.set()
        self._thread.join()

    def _endpoint(self, account: str, region: str, name: str) -> Endpoint:
        record = sagemaker_backends[account][region].endpoints.get(name)
        endpoint = self.endpoints.live.get(record.arn) if record else None
        if endpoint is None or endpoint.fleet is None:
            raise InvocationRefused(f"Endpoint {name} of account {account} not found.")
        return endpoint

    def _take(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> tuple[Variant, Server]:
        for member in NOT_EMULATED:
            if f"x-amzn-sagemaker-{member.lower()}" in headers:
                raise InvocationRefused(f"X-Amzn-SageMaker-{member} is not emulated by the laptop cloud")
        fleet = endpoint.fleet
        if fleet is None:
            raise InvocationRefused(f"Endpoint {endpoint.record.name} not found.")
        serverless = any(variant.concurrency is not None for variant in fleet.variants)
        limit = SERVERLESS_LIMIT if serverless else BODY_LIMIT
        if len(body) > limit:
            raise InvocationRefused(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length "
                f"less than or equal to {limit} (it has {len(body)})"
            )
        wanted = headers.get("x-amzn-sagemaker-target-variant")
        try:
            taken = fleet.take(wanted)
        except KeyError as error:
            raise InvocationRefused(f"Variant {wanted} not found for endpoint {endpoint.record.name}.") from error
        if taken is None:
            raise Throttled("Rate exceeded: the endpoint answers as many requests at once as its MaxConcurrency allows")
        return taken

    def _failed(self, endpoint: Endpoint, variant: Variant, status: int, said: str) -> ModelError:
        self._count(endpoint, variant, 500, None)
        return self._model_error(endpoint, variant, status, said)

    def _model_error(self, endpoint: Endpoint, variant: Variant, status: int, said: str) -> ModelError:
        account, region = endpoint.record.arn.split(":")[4], endpoint.record.arn.split(":")[3]
        stream = f"arn:aws:logs:{region}:{account}:log-group:{endpoint.logs.group}"
        return ModelError(status, said, endpoint.logs.group, stream)

    def _count(self, endpoint: Endpoint, variant: Variant, status: int, seconds: float | None) -> None:
        values = {
            "Invocations": (1.0, "None"),
            "Invocation4XXErrors": (float(400 <= status < 500), "None"),
            "Invocation5XXErrors": (float(status >= 500), "None"),
        }
        if seconds is not None:
            values["ModelLatency"] = (seconds * 1e6, "Microseconds")
        dimensions = [
            {"Name": "EndpointName", "Value": endpoint.record.name},
            {"Name": "VariantName", "Value": variant.name},
        ]
        moment = now()
        with self._lock:
            self._pending += [
                {"MetricName": name, "Value": value, "Unit": unit, "Timestamp": moment, "Dimensions": dimensions}
                for name, (value, unit) in values.items()
            ]

    def _send_metrics(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(FLUSH_SECONDS)
            with self._lock:
                pending, self._pending = self._pending, []
            for start in range(0, len(pending), 500):
                self.cloud.client("cloudwatch").put_metric_data(
                    Namespace=NAMESPACE, MetricData=pending[start : start + 500]
                )
