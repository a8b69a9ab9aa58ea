"""Asks a model that an asynchronous endpoint serves: the request goes to S3 and into a queue, its answer is fetched."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from cli import ledger
from cli.aws import Account
from cli.errors import CommandError, ModelRefused, model_reason
from contract import async_calls, keys
from contract.async_calls import Failure

LOOK_SECONDS = 0.5


def ask(
    account: Account,
    project: tuple[str, str],
    endpoint: str,
    content_type: str,
    body: bytes,
    tell: Callable[[str], Any],
) -> dict[str, Any]:
    """Return the model's answer.

    Args:
        account: whose endpoint and bucket.
        project: tenant and project.
        endpoint: its name.
        content_type: of the body.
        body: what is asked.
        tell: is told where the answer will be.

    Raises:
        CommandError: when there will be none.
    """
    answer, failure = send(account, project, endpoint, content_type, body)
    tell(f"The request waits in the queue of {endpoint}. Its answer will be {answer}")
    answered: dict[str, Any] = json.loads(follow(account, answer, failure))
    return answered


def send(account: Account, project: tuple[str, str], endpoint: str, content_type: str, body: bytes) -> tuple[str, str]:
    """Put a request into the queue; return the S3 addresses of its answer, and of what may go wrong."""
    bucket, number = account.installation.artifacts_bucket, str(uuid.uuid4())
    key = keys.async_prefix(*project) + keys.ASYNC_REQUESTS + number
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
    queued = account.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=endpoint,
        ContentType=content_type,
        Accept="application/json",
        InferenceId=number,
        InputLocation=f"s3://{bucket}/{key}",
    )
    return queued["OutputLocation"], queued["FailureLocation"]


def follow(account: Account, answer: str, failure: str) -> bytes:
    """Wait for an answer.

    Raises:
        CommandError: when the request failed, or waited too long.
    """
    deadline = time.monotonic() + async_calls.WAITS_SECONDS + async_calls.WORKS_SECONDS
    while time.monotonic() < deadline:
        for address in (answer, failure):
            body = ledger.read(account, keys.parse_uri(address)[1])
            if body is not None and address == answer:
                return body
            if body is not None:
                raise _failed(body)
        time.sleep(LOOK_SECONDS)
    raise CommandError("The request waited too long, or its endpoint is gone.", "Send it again.")


def _failed(told: bytes) -> CommandError:
    failure = Failure.of(told)
    said = failure.body.decode(errors="replace")
    return ModelRefused(said) if failure.is_the_requests else CommandError(f"The model failed at {model_reason(said)}")
