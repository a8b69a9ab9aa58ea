"""Golden samples of a version without an endpoint: objects that a transform job answers, and then the answers.

Each sample is one object, so that each is one request, as an endpoint is asked.
"""

from __future__ import annotations

from typing import Any

from contract import keys, names
from contract.errors import GoldenSamplesDiffer
from functions import documents, golden
from functions.shared import client, environment, logger


def write(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Write the samples at ``event["golden_uri"]`` as requests below ``event["prefix"]``.

    Returns:
        ``{"samples"}``, how many.

    Raises:
        GoldenSamplesDiffer: when there are none.
    """
    samples = golden.read(event["golden_uri"]).samples
    for number, sample in enumerate(samples):
        client("s3").put_object(
            Bucket=environment(names.ARTIFACTS_BUCKET),
            Key=event["prefix"] + keys.BATCH_INPUT + _name(number),
            Body=sample.request_body(),
            ContentType=sample.content_type,
        )
    return {"samples": len(samples)}


def check(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Compare the answers below ``event["prefix"]`` with the samples at ``event["golden_uri"]``.

    Returns:
        ``{"samples", "largest_difference"}``.

    Raises:
        GoldenSamplesDiffer: with the sample, what was expected and what was got.
    """
    wanted, bucket = golden.read(event["golden_uri"]), environment(names.ARTIFACTS_BUCKET)
    differences = []
    for number, sample in enumerate(wanted.samples):
        answer = documents.read_bytes(bucket, f"{event['prefix']}{keys.BATCH_ANSWERS}{_name(number)}.out")
        if answer is None:
            raise GoldenSamplesDiffer(f"{sample.name}: the transform job left no answer")
        differences.append(sample.check(answer, wanted.tolerance))
    logger.info("golden samples agree", extra={"prefix": event["prefix"], "samples": len(differences)})
    return {"samples": len(differences), "largest_difference": max(differences)}


def _name(number: int) -> str:
    return f"{number:03}.json"
