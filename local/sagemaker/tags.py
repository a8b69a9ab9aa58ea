"""Tags on whatever this cloud's SageMaker holds."""

from __future__ import annotations

from typing import Any

from local.sagemaker.errors import Refused
from local.sagemaker.records import Record

LIMIT = 50
HOLDERS = (
    "training_jobs", "processing_jobs", "_models", "endpoint_configs", "endpoints", "model_package_groups",
    "model_packages", "hyper_parameter_tuning_jobs", "transform_jobs",
)  # fmt: skip


def add(backend: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Add tags; a key that is there gets the new value."""
    record = _find(backend, request["ResourceArn"])
    with record.lock:
        merged = {tag["Key"]: tag["Value"] for tag in [*record.tags, *request["Tags"]]}
        if len(merged) > LIMIT:
            raise Refused(f"A resource can have at most {LIMIT} tags; this makes {len(merged)}")
        record.tags = [{"Key": key, "Value": value} for key, value in merged.items()]
        return {"Tags": record.tags}


def listed(backend: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return one page of tags."""
    tags = _find(backend, request["ResourceArn"]).tags
    start = int(request.get("NextToken", 0))
    end = start + request.get("MaxResults", LIMIT)
    return {"Tags": tags[start:end], **({"NextToken": str(end)} if end < len(tags) else {})}


def remove(backend: Any, request: dict[str, Any]) -> None:
    """Remove the tags of these keys."""
    record = _find(backend, request["ResourceArn"])
    with record.lock:
        record.tags = [tag for tag in record.tags if tag["Key"] not in request["TagKeys"]]


def _find(backend: Any, arn: str) -> Record:
    for holder in HOLDERS:
        for record in getattr(backend, holder).values():
            if record.arn == arn:
                found: Record = record
                return found
    raise Refused(f"Could not find a resource with ARN {arn!r}")
