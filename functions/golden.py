"""Check golden samples: a staging endpoint must answer as the model was evaluated, before any traffic."""

from __future__ import annotations

import json
from typing import Any

from contract import keys
from contract.errors import GoldenSamplesDiffer, InvalidModel
from contract.golden import Golden, GoldenSample
from contract.lambda_calls import Answered, Asked
from functions import documents
from functions.shared import client, logger


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Ask ``event["endpoint"]`` the samples at ``event["golden_uri"]``.

    Returns:
        ``{"samples", "largest_difference"}``.

    Raises:
        GoldenSamplesDiffer: with the sample, what was expected and what was got.
    """
    golden = read(event["golden_uri"])
    differences = [check(event["endpoint"], sample, golden.tolerance) for sample in golden.samples]
    logger.info("golden samples agree", extra={"endpoint": event["endpoint"], "samples": len(differences)})
    return {"samples": len(differences), "largest_difference": max(differences)}


def read(uri: str) -> Golden:
    """Return the samples.

    Raises:
        GoldenSamplesDiffer: when there are none, because then nothing could be shown to agree.
    """
    body = documents.read_bytes(*keys.parse_uri(uri))
    golden = Golden.from_dict(json.loads(body)) if body else None
    if golden is None or not golden.samples:
        raise GoldenSamplesDiffer(f"{uri} holds no golden samples, so the endpoint cannot be checked")
    return golden


def check(endpoint: str, sample: GoldenSample, tolerance: float) -> float:
    """Ask an endpoint, or ``<function>:<version>``, one sample; return the largest difference of an output.

    Raises:
        GoldenSamplesDiffer: when it fails, refuses, or answers otherwise.
    """
    ask = ask_function if ":" in endpoint else ask_endpoint
    return sample.check(ask(endpoint, sample), tolerance)


def ask_endpoint(endpoint: str, sample: GoldenSample) -> bytes:
    """Return an endpoint's answer.

    Raises:
        GoldenSamplesDiffer: when it fails or refuses.
    """
    runtime = client("sagemaker-runtime")
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType=sample.content_type,
            Accept="application/json",
            Body=sample.request_body(),
        )
    except runtime.exceptions.ModelError as error:  # its text may quote the row
        status = error.response.get("OriginalStatusCode")
        raise GoldenSamplesDiffer(f"{sample.name}: the endpoint answered {status}; its log says why") from None
    body: bytes = answer["Body"].read()
    return body


def ask_function(function: str, sample: GoldenSample) -> bytes:
    """Return the answer of a version of a function.

    Raises:
        GoldenSamplesDiffer: when it fails or refuses.
    """
    payload = json.dumps(Asked(body=sample.request_body(), content_type=sample.content_type).to_event())
    answer = client("lambda").invoke(FunctionName=function, Payload=payload)
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise GoldenSamplesDiffer(f"{sample.name}: the function failed: {_reason(told)}")
    answered = Answered.from_result(told)
    if answered.status != 200:
        raise GoldenSamplesDiffer(f"{sample.name}: the function answered {answered.status}; its log says why")
    return answered.body


def _reason(told: dict[str, Any]) -> str:
    """Return why a function failed; of an error that may quote the row, its name alone."""
    kind = str(told.get("errorType"))
    return f"{kind}: {told['errorMessage']}" if kind == InvalidModel.__name__ else kind
