"""``POST /v1/{tenant}/{project}/predict``: the model in service answers.

The body goes to the model as it came, and its answer back as it is, with a 4xx of the model's server too. Where an
asynchronous endpoint serves, the body waits in its queue, and the answer says where to look for the model's.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from contract import keys, names, offline
from contract.lambda_calls import Answered, Asked
from functions import api, shared, waiting
from functions.api import ApiError, Request, Response
from functions.shared import environment, error_code, session

PATIENCE_SECONDS = 25
"""How long a model may take: API Gateway waits 29 s for the function."""
ANSWERS = ("application/json", "text/csv")

UNSAID = ("", "application/x-www-form-urlencoded")
"""What clients say of a body where nobody told them what it is: no model reads forms."""

BUSY = ("ThrottlingException", "TooManyRequestsException")
AWAY = (
    "ServiceUnavailable", "InternalDependencyException", "InternalFailure", "ModelNotReadyException",
    "ServiceException", "ResourceNotReadyException", "ResourceConflictException", "CodeArtifactUserPendingException",
)  # fmt: skip
"""The second line is Lambda's: a function that nobody called for weeks has its image prepared again, and refuses
meanwhile ("Lambda function states")."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway."""
    return api.serve(event, predict)


def predict(request: Request) -> Response:
    """Ask the champion.

    Raises:
        ApiError: when it is not there, sleeps, refuses, is busy, or does not answer in time.
    """
    if len(request.body) > api.BODY_LIMIT:
        size, limit = f"{len(request.body):,}", api.BODY_LIMIT // api.MIB
        raise ApiError(413, "PayloadTooLarge", f"The body has {size} bytes; send at most {limit} MiB at once.")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() in UNSAID:
        told = "No content type says what the body is; send one, such as content-type: application/json."
        raise ApiError(415, "UnsupportedContentType", told)
    champion = api.awake(request)
    if champion["target"] in names.OFFLINE_TARGETS:
        instead = offline.how(champion["target"], f"{request.tenant}/{request.project}")
        raise ApiError(409, "NoEndpoint", f"Version {champion['version']} is in service without an endpoint. {instead}")
    try:
        response = _ask(champion, request)
    except NotInService:
        api.champions.clear()
        fresh = api.awake(request)
        if fresh["endpoint"] == champion["endpoint"]:
            raise
        response = _ask(fresh, request)  # what we remembered was replaced just now
    if response.status >= 400:
        raise refused(response.status, response.body)
    return response


class NotInService(ApiError):
    """The endpoint is not there, or takes no requests yet."""

    def __init__(self) -> None:
        message = "The model is not in service now; try again."
        super().__init__(503, "ServiceUnavailable", message, headers={"Retry-After": "5"})


def _ask(champion: dict[str, Any], request: Request) -> Response:
    try:
        return TARGETS[champion["target"]](champion["endpoint"], request)
    except (ReadTimeoutError, ConnectTimeoutError) as error:
        raise ApiError(504, "TimedOut", f"The model did not answer within {PATIENCE_SECONDS} s.") from error


def ask_endpoint(endpoint: str, request: Request) -> Response:
    """Call an endpoint of SageMaker; a 4xx or 5xx of its container is a response too.

    Raises:
        ApiError: when the endpoint itself refuses.
    """
    content_type, accept = (api.media_header(request, name) for name in ("content-type", "accept"))
    try:
        answer = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint,
            ContentType=content_type,
            Accept=accept or ANSWERS[0],
            Body=request.body,
        )
    except ClientError as error:
        told: Any = error.response  # a ModelError carries the container's own answer
        if error_code(error) != "ModelError":
            raise _translated(error) from error
        said = (told.get("OriginalMessage") or "").encode()
        return Response(status=int(told.get("OriginalStatusCode") or 500), body=said)
    body = answer["Body"].read()
    return Response(body=body, content_type=answer["ContentType"], rows=count(body, answer["ContentType"]))


def ask_function(function: str, request: Request) -> Response:
    """Call ``<function>:<alias>``.

    Raises:
        ApiError: when Lambda refuses, or the function fails.
    """
    content_type, accept = (api.media_header(request, name) for name in ("content-type", "accept"))
    event = Asked(body=request.body, content_type=content_type, accept=accept).to_event()
    try:
        answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    except ClientError as error:
        raise _translated(error) from error
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        return Response(status=500, body=b"")
    answered = Answered.from_result(told)
    rows = count(answered.body, answered.content_type)
    return Response(status=answered.status, body=answered.body, content_type=answered.content_type, rows=rows)


def ask_queue(endpoint: str, request: Request) -> Response:
    """Put a request into the queue of an asynchronous endpoint.

    Raises:
        ApiError: when the endpoint refuses.
    """
    content_type, accept = (api.media_header(request, name) for name in ("content-type", "accept"))
    bucket, prefix = environment(names.ARTIFACTS_BUCKET), keys.async_prefix(request.tenant, request.project)
    key, first = f"{prefix}{keys.ASYNC_REQUESTS}{request.id}", accept.partition(",")[0].partition(";")[0].strip()
    wanted = first if first in ANSWERS else ANSWERS[0]
    shared.client("s3").put_object(Bucket=bucket, Key=key, Body=request.body, ContentType=content_type)
    try:
        queued = client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint,
            ContentType=content_type,
            Accept=wanted,
            InferenceId=request.id,
            InputLocation=f"s3://{bucket}/{key}",
        )
    except ClientError as error:
        raise _translated(error) from error
    waiting.record(request, endpoint, queued["OutputLocation"], queued["FailureLocation"], wanted)
    return waiting.pending(request.id, Location=f"predictions/{request.id}")


TARGETS: dict[str, Callable[[str, Request], Response]] = {
    "serverless": ask_endpoint,
    "realtime": ask_endpoint,
    "async": ask_queue,
    "lambda": ask_function,
}
"""How a champion is called, by the target that it was deployed to."""


def refused(status: int, body: bytes) -> ApiError:
    """Return the error that a model's server answered; its reason goes through where the request was at fault."""
    try:
        told = json.loads(body)["error"]
        kind, message, path = str(told["type"]), str(told["message"]), str(told.get("path", ""))
    except (ValueError, LookupError, TypeError):
        kind, message, path = "ModelError", "The model refused the request.", ""
    if status == 429:
        return api.busy(message)
    if status == 503:
        return api.unavailable(message, 1)
    if 400 <= status < 500:
        return ApiError(status, kind, message, path=path)
    return ApiError(502, "ModelError", "The model failed; its log says why.")


def _translated(error: ClientError) -> ApiError | ClientError:
    code, message = error_code(error), str(error)
    if code in BUSY:
        return api.busy("The model answers as many requests at once as it may; try again in a second.")
    if code in AWAY:
        return api.unavailable("The model does not answer now; try again.", 5)
    if code in ("ValidationError", "ValidationException", "ResourceNotFoundException"):
        if "less than or equal to" in message:
            return ApiError(413, "PayloadTooLarge", "The body is larger than the model's endpoint takes.")
        return NotInService()
    return error


def count(body: bytes, content_type: str) -> int:
    """Return how many predictions an answer holds."""
    if content_type.startswith("text/csv"):
        return max(0, body.count(b"\n") - 1)
    try:
        return len(json.loads(body)["predictions"])
    except (ValueError, LookupError, TypeError):  # a container that is not ours answers as it likes
        return 0


@functools.cache
def client(service: str) -> Any:
    """Return a client that does not try again: who asks knows better whether the answer is still wanted."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_SECONDS, connect_timeout=5)
    return session().create_client(service, config=config)
