"""Lambda functions run.

AWS runs a function's handler in an execution environment. moto needs Docker for
that, and without it answers every invocation with a canned text. Here every path
into a function (Invoke, Step Functions, SNS, S3 and SQS triggers) goes to the
sandboxes of ``local.lambdas``.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.responses import BaseResponse

from local.chaos.calls import STATE
from local.lambdas.outcome import Result
from local.lambdas.queue import AsynchronousQueue
from local.lambdas.service import Lambdas, Throttled

if TYPE_CHECKING:
    from local.cloud import Cloud

REQUEST_ID = "x-amzn-requestid"
MAX_SYNCHRONOUS = 6 * 1024 * 1024  # bytes of a request
MAX_ASYNCHRONOUS = 256 * 1024


class RequestTooLarge(LambdaClientError):
    """AWS's RequestEntityTooLargeException."""

    code = 413

    def __init__(self, size: int, limit: int) -> None:
        text = f"Request must be smaller than {limit} bytes for the InvokeFunction operation (it has {size})"
        super().__init__("RequestEntityTooLargeException", text)


class InvalidPayload(LambdaClientError):
    """AWS's InvalidRequestContentException."""

    def __init__(self, reason: object) -> None:
        text = f"Could not parse request body into json: Could not parse payload into json: {reason}"
        super().__init__("InvalidRequestContentException", text)


class TooManyRequests(LambdaClientError):
    """AWS's TooManyRequestsException for a function at its reserved concurrency."""

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


class DataPlane:
    """What Invoke does, apart from moto's classes.

    Args:
        lambdas: where functions run.
        queue: where asynchronous events wait.
    """

    def __init__(self, lambdas: Lambdas, queue: AsynchronousQueue) -> None:
        self._lambdas, self._queue = lambdas, queue

    def invoke(self, name: str, qualifier: str | None, body: bytes, headers: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer an Invoke request: (status, headers, body)."""
        kind = headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        _check(body, MAX_ASYNCHRONOUS if kind == "Event" else MAX_SYNCHRONOUS)
        context = base64.b64decode(headers.get("X-Amz-Client-Context") or "").decode()
        state = headers.get(STATE) or ""
        invocation = self._lambdas.invocation(name, body, qualifier=qualifier, context=context, state=state)
        if kind == "DryRun":
            return 204, {"status": "204"}, b""
        if kind == "Event":
            self._queue.put(invocation)
            return 202, {"status": "202"}, b""
        result = self._run(invocation)
        answer = {"content-type": "application/json", "X-Amz-Executed-Version": result.version}
        answer[REQUEST_ID] = invocation.request_id
        if result.error:
            answer["X-Amz-Function-Error"] = result.error
        if headers.get("X-Amz-Log-Type") == "Tail":
            answer["X-Amz-Log-Result"] = base64.b64encode(result.log_tail).decode()
        return 200, answer, result.payload

    def trigger(self, arn: str, body: str) -> None:
        """Accept an event from a service that does not wait for an answer."""
        self._queue.put(self._lambdas.invocation(arn, body.encode()))

    def poll(self, arn: str, body: str) -> Result:
        """Run a batch of an event-source mapping, which waits for its result."""
        return self._run(self._lambdas.invocation(arn, body.encode()))

    def _run(self, invocation: Any) -> Result:
        try:
            return self._lambdas.run(invocation)
        except Throttled:
            raise TooManyRequests() from None


def _check(body: bytes, limit: int) -> None:
    if len(body) > limit:
        raise RequestTooLarge(len(body), limit)
    try:
        json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidPayload(error) from None


def install(cloud: Cloud) -> None:
    """Send every invocation to the sandboxes."""
    lambdas = Lambdas(cloud)
    plane = DataPlane(lambdas, AsynchronousQueue(lambdas))

    def invoke(self: LambdaResponse) -> tuple[int, dict[str, str], bytes]:
        name = unquote(self.path.rsplit("/", 2)[-2])
        body = self.normalized_request.get_data()
        return plane.invoke(name, self._get_param("Qualifier"), body, self.headers)

    def invoke_backend(
        self: LambdaBackend, function_name: str, qualifier: Any, body: Any, headers: Any, response_headers: Any
    ) -> bytes:
        result = plane.poll(function_name if qualifier is None else f"{function_name}:{qualifier}", body)
        if result.error:
            response_headers["x-amz-function-error"] = result.error
        return result.payload

    def enrich(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """Keep the id of an invocation, which its log has too; moto gives every answer an id of its own."""
        given = {name: value for name, value in headers.items() if name == REQUEST_ID}
        headers, body = BaseResponse._enrich_response(headers, body)
        return {**headers, **given}, body

    def trigger(self: LambdaFunction, body: str, request_headers: Any, response_headers: Any) -> bytes:
        plane.trigger(self.function_arn, body)
        return b""

    setattr(LambdaResponse, "invoke", invoke)  # noqa: B010
    setattr(LambdaResponse, "_enrich_response", staticmethod(enrich))  # noqa: B010
    setattr(LambdaBackend, "invoke", invoke_backend)  # noqa: B010
    setattr(LambdaFunction, "invoke", trigger)  # noqa: B010
