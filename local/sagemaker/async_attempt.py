"""One request of an asynchronous endpoint: read from S3, asked of a server, answered in S3, told to a topic.

S3 and SNS are called as the model's role, which SageMaker takes.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker import async_requests
from local.sagemaker.async_queue import AsyncRequest
from local.sagemaker.endpoints import Endpoint
from local.sagemaker.fleets import Fleet, Variant
from local.sagemaker.meters import Meters
from local.sagemaker.objects import Location
from local.sagemaker.servers import Answer, Server

if TYPE_CHECKING:
    from local.cloud import Cloud

EXPIRED = "The request expired: it waited longer than its RequestTTLSeconds"
FROM_MODEL = "Received {} error ({}) from model. See the SageMaker Endpoint logs in your account for more information."


class Failed(Exception):
    """A request without an answer.

    Args:
        reason: as the notification says it.
        body: of the object at FailureLocation: what the container answered, or the reason.
        line: of the log; the reason where nothing more is known.
        metrics: what is counted.
    """

    def __init__(self, reason: str, body: bytes = b"", line: str = "", **metrics: float) -> None:
        super().__init__(reason)
        self.reason, self.body, self.line, self.metrics = reason, body or reason.encode(), line or reason, metrics


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request and who answers it.

    Args:
        cloud: whose S3 and SNS.
        meters: count what happens.
        endpoint: in whose queue it waited.
        fleet, variant: where it goes.
        request: what was asked.
    """

    cloud: Cloud
    meters: Meters
    endpoint: Endpoint
    fleet: Fleet
    variant: Variant
    request: AsyncRequest

    def work(self, server: Server) -> None:
        """Have a server answer, which counts the request out; what goes wrong is told, and not raised."""
        self.count(TimeInBacklog=self._age() * 1e6)
        try:
            answer = self._ask(server)
            content_type = self._keep(answer)
        except Failed as failure:
            self.fail(failure)
        else:
            self.count(InvocationFailures=0.0)
            self._notify(content_type=content_type)
        self.count(InvocationsProcessed=1.0, TotalProcessingTime=self._age() * 1e3)

    def fail(self, failure: Failed) -> None:
        """Tell everybody that there will be no answer."""
        if self.cloud.stopping.is_set():
            return  # the servers were killed: nobody is left to tell
        self._log(failure.line)
        self.count(InvocationFailures=1.0, **failure.metrics)
        try:
            if self.request.failure:
                self._write(self.request.failure, failure.body, "application/json")
        except (ClientError, BotoCoreError) as error:
            self._log(f"nothing can be written to {self.request.failure}: {error}")
        self._notify(failure=failure.reason)

    def count(self, **values: float) -> None:
        """Count for the variant."""
        self.meters.note(self.endpoint.record.name, self.fleet.config, self.variant.name, values)

    def _ask(self, server: Server) -> Answer:
        """Return the container's answer; raises Failed for one that is no success."""
        try:
            body = self._read()
            began = time.monotonic()
            answer = server.invoke(body, self.request.headers, self.request.timeout)
        except TimeoutError as error:
            reason = f"the model did not answer within {self.request.timeout} s"
            raise Failed(f"ServerError: {reason}", Invocation5XXErrors=1.0) from error
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"ServerError: the container did not answer: {error!r}", Invocation5XXErrors=1.0) from error
        finally:
            server.leave()
        self.count(ModelLatency=(time.monotonic() - began) * 1e6)
        return self._checked(answer)

    def _checked(self, answer: Answer) -> Answer:
        client, server = 400 <= answer.status < 500, answer.status >= 500
        errors = {"Invocation4XXErrors": float(client), "Invocation5XXErrors": float(server)}
        if not client and not server:
            self.count(**errors)
            return answer
        kind = "client" if client else "server"
        said = answer.body.decode(errors="replace")
        line = f'Received {kind} error ({answer.status}) from primary with message "{said}"'
        raise Failed(f"{kind.title()}Error: {FROM_MODEL.format(kind, answer.status)}", answer.body, line, **errors)

    def _read(self) -> bytes:
        source = self.request.source
        if source is None:
            return self.request.payload
        began = time.monotonic()
        try:
            body: bytes = self.fleet.client("s3").get_object(Bucket=source.bucket, Key=source.key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            reason = f"ClientError: the payload at {source} cannot be read: {error}"
            raise Failed(reason, RequestDownloadFailures=1.0) from error
        self.count(RequestDownloadLatency=(time.monotonic() - began) * 1e6)
        return body

    def _keep(self, answer: Answer) -> str:
        """Write the answer, and return its content type; raises Failed."""
        began, content_type = time.monotonic(), answer.headers.get("content-type", "application/octet-stream")
        try:
            self._write(self.request.answer, answer.body, content_type)
        except (ClientError, BotoCoreError) as error:
            reason = f"ClientError: the answer cannot be written to {self.request.answer}: {error}"
            raise Failed(reason, ResponseUploadFailures=1.0) from error
        self.count(ResponseUploadLatency=(time.monotonic() - began) * 1e6)
        return content_type

    def _write(self, place: Location, body: bytes, content_type: str) -> None:
        key = self.request.config.get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self.fleet.client("s3").put_object(
            Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type, **encryption
        )

    def _notify(self, *, content_type: str = "", failure: str = "") -> None:
        topic = self.request.config.get("NotificationConfig", {}).get("ErrorTopic" if failure else "SuccessTopic")
        if not topic:
            return
        message = async_requests.notification(
            self.endpoint.record.name, self.request, self.cloud.region, content_type=content_type, failure=failure
        )
        try:
            self.fleet.client("sns").publish(TopicArn=topic, Message=message)
        except (ClientError, BotoCoreError) as error:
            self._log(f"{topic} was not told: {error}")
            self.count(NotificationFailures=1.0)

    def _log(self, line: str) -> None:
        self.endpoint.logs.write(f"{self.variant.name}/data-log", f"[sagemaker logs] [{self.request.id}] {line}")

    def _age(self) -> float:
        return time.monotonic() - self.request.began
