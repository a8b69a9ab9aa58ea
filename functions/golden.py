"""Check golden samples: a staging endpoint must answer as the model was evaluated, before any traffic."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from contract import keys
from contract.errors import GoldenSamplesDiffer
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
    """Ask one sample; return the largest difference of an output.

    Raises:
        GoldenSamplesDiffer: when it is more than ``tolerance``, or the answer has other labels.
    """
    got = ask(endpoint, sample)
    if got.keys() != sample.outputs.keys():
        raise GoldenSamplesDiffer(f"{sample.name}: expected labels {sorted(sample.outputs)}, got {sorted(got)}")
    differences = {label: _difference(got[label], value) for label, value in sample.outputs.items()}
    worst = max(differences, key=lambda label: differences[label])
    if differences[worst] > tolerance:
        raise GoldenSamplesDiffer(
            f"{sample.name}: expected {sample.outputs[worst]:.7g} of {worst!r}, got {got[worst]:.7g};"
            f" the difference is more than {tolerance:g}. Expected {_short(sample.outputs)}, got {_short(got)}"
        )
    return differences[worst]


def _difference(got: float, expected: float) -> float:
    return abs(got - expected) if math.isfinite(got) else math.inf


def _short(outputs: Mapping[str, float]) -> str:
    """Return the three largest outputs: of classes, the most probable ones."""
    best = sorted(outputs.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{label}: {value:.5g}" for label, value in best)


def ask(endpoint: str, sample: GoldenSample) -> dict[str, float]:
    """Return the outputs of an endpoint, or of ``<function>:<version>``, for a sample: probabilities, or values."""
    body = base64.b64decode(sample.body) if sample.base64 else sample.body.encode()
    if ":" in endpoint:
        return outputs(ask_function(endpoint, sample, body))
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType=sample.content_type, Accept="application/json", Body=body
    )
    return outputs(answer["Body"].read())


def ask_function(function: str, sample: GoldenSample, body: bytes) -> bytes:
    """Ask a version of a function.

    Raises:
        GoldenSamplesDiffer: when it fails or refuses.
    """
    payload = json.dumps(Asked(body=body, content_type=sample.content_type).to_event())
    answer = client("lambda").invoke(FunctionName=function, Payload=payload)
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise GoldenSamplesDiffer(
            f"{sample.name}: the function failed: {told.get('errorType')}: {told.get('errorMessage')}"
        )
    answered = Answered.from_result(told)
    if answered.status != 200:
        raise GoldenSamplesDiffer(f"{sample.name}: the function answered {answered.status}: {answered.body[:500]!r}")
    return answered.body


def outputs(body: bytes) -> dict[str, float]:
    """Return the outputs in an answer."""
    (prediction,) = json.loads(body)["predictions"]
    found = prediction["values"] if "values" in prediction else prediction["probabilities"]
    return {str(label): float(value) for label, value in found.items()}
