"""InvokeEndpointAsync: a request waits in the endpoint's queue, is answered by a server, and the answer goes to S3.

Each queue has one thread that hands requests out, oldest first, as long as some server has room; while there is none,
because none was scaled out yet or an update is on its way, they wait. Each request is answered on a thread of its own.
"""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker import async_requests
from local.sagemaker.async_queue import AsyncRequest
from local.sagemaker.endpoints import Endpoint
from local.sagemaker.fleets import NoServer
from local.sagemaker.meters import Meters
from local.sagemaker.objects import Location
from local.sagemaker.servers import Answer
from local.sagemaker.traffic import NotServing, Taken

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS = 0.05  # real seconds between two looks for room where nothing tells of it
EXPIRED = "The request expired: it waited longer than its RequestTTLSeconds"
FROM_MODEL = "Received {} error ({}) from model. See the SageMaker Endpoint logs in your account for more information."


class Failed(Exception):
    """A request without an answer.

    Args:
        reason: as the notification says it.
        body: of the object at FailureLocation: what the container answered, or the reason.
        metrics: what is counted.
    """

    def __init__(self, reason: str, body: bytes = b"", **metrics: float) -> None:
        super().__init__(reason)
        self.reason, self.body, self.metrics = reason, body or reason.encode(), metrics


class AsyncInference:
    """Answers what waits at asynchronous endpoints.

    Args:
        cloud: whose S3 and SNS.
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
            if time.monotonic() - request.began > self.cloud.clock.seconds(request.ttl):
                endpoint.queue.begin()
                self._fail(endpoint, request, Failed(EXPIRED, ExpiredRequests=1.0))
                endpoint.queue.end(request)
            elif taken := _take(endpoint):
                endpoint.queue.begin()
                self.cloud.spawn(self._work, endpoint, taken, request, name=f"async-{request.id}")
            else:
                endpoint.queue.wait(LOOK_SECONDS)

    def _work(self, endpoint: Endpoint, taken: Taken, request: AsyncRequest) -> None:
        waited = time.monotonic() - request.began
        self._count(endpoint, taken, TimeInBacklog=waited * 1e6)
        try:
            answer = self._ask(endpoint, taken, request)
            content_type = self._keep(endpoint, taken, request, answer)
        except Failed as failure:
            self._fail(endpoint, request, failure, taken)
        else:
            self._notify(endpoint, request, content_type=content_type)
            self._count(endpoint, taken, InvocationFailures=0.0)
        finally:
            endpoint.queue.end(request)
        seconds = time.monotonic() - request.began
        self._count(endpoint, taken, InvocationsProcessed=1.0, TotalProcessingTime=seconds * 1e3)

    def _ask(self, endpoint: Endpoint, taken: Taken, request: AsyncRequest) -> Answer:
        """Return the container's answer; raises Failed for one that is no success."""
        try:
            body = self._read(endpoint, taken, request)
            began = time.monotonic()
            answer = taken.server.invoke(body, request.headers, request.timeout)
        except TimeoutError as error:
            reason = f"the model did not answer within {request.timeout} s"
            raise Failed(f"ServerError: {reason}", Invocation5XXErrors=1.0) from error
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"ServerError: the container did not answer: {error!r}", Invocation5XXErrors=1.0) from error
        finally:
            taken.server.leave()
        self._count(endpoint, taken, ModelLatency=(time.monotonic() - began) * 1e6)
        return self._checked(endpoint, taken, request, answer)

    def _checked(self, endpoint: Endpoint, taken: Taken, request: AsyncRequest, answer: Answer) -> Answer:
        client, server = 400 <= answer.status < 500, answer.status >= 500
        errors = {"Invocation4XXErrors": float(client), "Invocation5XXErrors": float(server)}
        if not client and not server:
            self._count(endpoint, taken, **errors)
            return answer
        kind = "client" if client else "server"
        said = answer.body.decode(errors="replace")
        line = f'Received {kind} error ({answer.status}) from primary with message "{said}"'
        endpoint.logs.write(f"{taken.variant.name}/data-log", f"[sagemaker logs] [{request.id}] {line}")
        raise Failed(f"{kind.title()}Error: {FROM_MODEL.format(kind, answer.status)}", answer.body, **errors)

    def _read(self, endpoint: Endpoint, taken: Taken, request: AsyncRequest) -> bytes:
        if request.source is None:
            return request.payload
        began = time.monotonic()
        try:
            found = self.cloud.client("s3").get_object(Bucket=request.source.bucket, Key=request.source.key)
            body: bytes = found["Body"].read()
        except (ClientError, BotoCoreError) as error:
            reason = f"ClientError: the payload at {request.source} cannot be read: {error}"
            raise Failed(reason, RequestDownloadFailures=1.0) from error
        self._count(endpoint, taken, RequestDownloadLatency=(time.monotonic() - began) * 1e6)
        return body

    def _keep(self, endpoint: Endpoint, taken: Taken, request: AsyncRequest, answer: Answer) -> str:
        """Write the answer, and return its content type; raises Failed."""
        began, content_type = time.monotonic(), answer.headers.get("content-type", "application/octet-stream")
        try:
            self._write(request.answer, answer.body, content_type, request.config)
        except (ClientError, BotoCoreError) as error:
            reason = f"ClientError: the answer cannot be written to {request.answer}: {error}"
            raise Failed(reason, ResponseUploadFailures=1.0) from error
        self._count(endpoint, taken, ResponseUploadLatency=(time.monotonic() - began) * 1e6)
        return content_type

    def _write(self, place: Location, body: bytes, content_type: str, config: dict[str, Any]) -> None:
        key = config.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self.cloud.client("s3").put_object(
            Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type, **encryption
        )

    def _fail(self, endpoint: Endpoint, request: AsyncRequest, failure: Failed, taken: Taken | None = None) -> None:
        if self.cloud.stopping.is_set():
            return  # the servers were killed: nobody is left to tell
        endpoint.logs.write("data-log", f"[sagemaker logs] [{request.id}] {failure.reason}")
        self._count(endpoint, taken, InvocationFailures=1.0, **failure.metrics)
        if request.failure:
            self._write(request.failure, failure.body, "application/json", request.config)
        self._notify(endpoint, request, content_type="", failure=failure.reason)

    def _notify(self, endpoint: Endpoint, request: AsyncRequest, *, content_type: str, failure: str = "") -> None:
        topic = request.config.get("NotificationConfig", {}).get("ErrorTopic" if failure else "SuccessTopic")
        if not topic:
            return
        message = async_requests.notification(
            endpoint.record.name, request, self.cloud.region, content_type=content_type, failure=failure
        )
        try:
            self.cloud.client("sns").publish(TopicArn=topic, Message=message)
        except (ClientError, BotoCoreError) as error:
            endpoint.logs.write("data-log", f"[sagemaker logs] [{request.id}] {topic}: {error}")
            self._count(endpoint, None, NotificationFailures=1.0)

    def _count(self, endpoint: Endpoint, taken: Taken | None, **values: float) -> None:
        """Count for the variant that was asked, or for the only one that there is."""
        fleet = taken.fleet if taken else endpoint.fleet
        if fleet is not None:
            self.meters.note(endpoint.record.name, fleet.config, fleet.variants[0].name, values)


def _take(endpoint: Endpoint) -> Taken | None:
    """Return a server that has room; None while there is none."""
    try:
        return endpoint.traffic.take(None)
    except (NotServing, NoServer):
        return None
