"""InvokeEndpoint: a request to a server of an endpoint, and its answer back; InvokeEndpointAsync: into its queue."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.sagemaker.models import sagemaker_backends

from local.sagemaker.async_inference import AsyncInference
from local.sagemaker.async_queue import AsyncRequest
from local.sagemaker.capture import Capture, Part
from local.sagemaker.endpoints import LOGS as ENDPOINT_LOGS
from local.sagemaker.endpoints import Endpoint, Endpoints
from local.sagemaker.errors import Refused
from local.sagemaker.fleets import NoServer
from local.sagemaker.meters import Invocation, Meters
from local.sagemaker.servers import INVOCATION_SECONDS, Answer
from local.sagemaker.shadows import Shadows
from local.sagemaker.traffic import NotServing, Taken

if TYPE_CHECKING:
    from local.cloud import Cloud

MIB = 1 << 20
BODY_LIMIT, SERVERLESS_LIMIT = 6 * MIB, 4 * MIB
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"
PASSED_ON = ("Content-Type", "Accept", ATTRIBUTES, INFERENCE_ID)
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
    """Invokes endpoints and counts what happens."""

    def __init__(self, cloud: Cloud, endpoints: Endpoints) -> None:
        self.cloud, self.endpoints = cloud, endpoints
        self.meters = Meters(cloud, endpoints.loads, endpoints.backlogs)
        self.capture, self.shadows = Capture(cloud), Shadows(cloud, self.meters)
        self.asynchronous = AsyncInference(cloud, self.meters)

    def invoke(self, account: str, region: str, name: str, headers: dict[str, str], body: bytes) -> tuple[Answer, str]:
        """Return the container's answer and the variant that gave it; ``headers`` have names in lower case.

        Raises InvocationRefused, Throttled or ModelError.
        """
        began = time.monotonic()
        endpoint = self._endpoint(account, region, name, asynchronous=False)
        taken = self._take(endpoint, headers, body)
        passed = {each: headers[each.lower()] for each in PASSED_ON if each.lower() in headers}
        self.shadows.copy(name, taken.fleet, body, passed)
        try:
            answer, seconds = self._ask(endpoint, taken, passed, body)
        except ModelError:
            self._count(endpoint, taken, 500, None, time.monotonic() - began)
            raise
        self._count(endpoint, taken, answer.status, seconds, time.monotonic() - began)
        if answer.status >= 400:
            raise _model_error(endpoint, answer.status, answer.body.decode(errors="replace"))
        self._keep(name, taken, passed, body, answer)
        return answer, taken.variant.name

    def invoke_async(self, account: str, region: str, name: str, headers: dict[str, str], body: bytes) -> AsyncRequest:
        """Put a request into the endpoint's queue, and return it; ``headers`` have names in lower case.

        Raises InvocationRefused.
        """
        endpoint = self._endpoint(account, region, name, asynchronous=True)
        try:
            return self.asynchronous.invoke(endpoint, headers, body)
        except Refused as error:
            raise InvocationRefused(str(error.message)) from error

    def _keep(self, name: str, taken: Taken, headers: dict[str, str], body: bytes, answer: Answer) -> None:
        """Have a request and its answer captured, as the endpoint configuration says."""
        metadata: dict[str, Any] = {}
        if attributes := headers.get(ATTRIBUTES):
            metadata["customAttributes"] = [attributes]
        if inference := headers.get(INFERENCE_ID):
            metadata["inferenceId"] = inference
        asked = Part(headers.get("Content-Type", ""), body)
        answered = Part(answer.headers.get("content-type", ""), answer.body)
        fleet = taken.fleet
        self.capture.note(fleet.capture, name, taken.variant.name, asked, answered, metadata, fleet.role)

    def _ask(self, endpoint: Endpoint, taken: Taken, headers: dict[str, str], body: bytes) -> tuple[Answer, float]:
        """Return the container's answer, and the seconds it took; raises ModelError when it does not answer."""
        began = time.monotonic()
        try:
            answer = taken.server.invoke(body, headers, INVOCATION_SECONDS)
        except TimeoutError as error:
            said = f"Your invocation timed out: no response from container primary within {INVOCATION_SECONDS:.0f} s"
            raise _model_error(endpoint, 0, said) from error
        except (OSError, http.client.HTTPException) as error:
            raise _model_error(endpoint, 0, f"the container did not answer: {error!r}") from error
        finally:
            taken.server.leave()
        return answer, time.monotonic() - began

    def _endpoint(self, account: str, region: str, name: str, *, asynchronous: bool) -> Endpoint:
        record = sagemaker_backends[account][region].endpoints.get(name)
        endpoint = self.endpoints.live.get(record.arn) if record else None
        if endpoint is None or endpoint.fleet is None:
            raise InvocationRefused(f"Endpoint {name} of account {account} not found.")
        if bool(endpoint.fleet.asynchronous) != asynchronous:
            other = "InvokeEndpoint" if asynchronous else "InvokeEndpointAsync"
            raise InvocationRefused(f"Endpoint {name} of account {account} takes {other} only.")
        return endpoint

    def _take(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> Taken:
        for member in NOT_EMULATED:
            if f"x-amzn-sagemaker-{member.lower()}" in headers:
                raise InvocationRefused(f"X-Amzn-SageMaker-{member} is not emulated by the laptop cloud")
        fleet = endpoint.fleet
        serverless = fleet is not None and any(variant.concurrency is not None for variant in fleet.variants)
        limit = SERVERLESS_LIMIT if serverless else BODY_LIMIT
        if len(body) > limit:
            raise InvocationRefused(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length "
                f"less than or equal to {limit} (it has {len(body)})"
            )
        wanted = headers.get("x-amzn-sagemaker-target-variant")
        try:
            taken = endpoint.traffic.take(wanted)
        except NotServing as error:
            raise InvocationRefused(f"Endpoint {endpoint.record.name} not found.") from error
        except NoServer as error:
            raise InvocationRefused(f"{error} for endpoint {endpoint.record.name}.") from error
        except KeyError as error:
            raise InvocationRefused(f"Variant {wanted} not found for endpoint {endpoint.record.name}.") from error
        if taken is None:
            raise Throttled("Rate exceeded: the endpoint answers as many requests at once as its MaxConcurrency allows")
        return taken

    def _count(
        self, endpoint: Endpoint, taken: Taken, status: int, model_seconds: float | None, seconds: float
    ) -> None:
        self.meters.count(
            Invocation(
                endpoint=endpoint.record.name,
                config=taken.fleet.config,
                variant=taken.variant.name,
                instances=len(taken.variant.servers),
                status=status,
                model_seconds=model_seconds,
                seconds=seconds,
            )
        )


def _model_error(endpoint: Endpoint, status: int, said: str) -> ModelError:
    account, region = endpoint.record.arn.split(":")[4], endpoint.record.arn.split(":")[3]
    group = f"{ENDPOINT_LOGS}{endpoint.record.name}"
    return ModelError(status, said, group, f"arn:aws:logs:{region}:{account}:log-group:{group}")
