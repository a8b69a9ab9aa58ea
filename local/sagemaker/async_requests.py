"""InvokeEndpointAsync's request, read from its headers; AsyncInferenceConfig, checked; the notification of an end.

Sources: ``InvokeEndpointAsync`` and ``AsyncInferenceConfig`` of SageMaker's API reference, "Asynchronous inference" of
the developer guide. An asynchronous endpoint has one variant, on instances (AWS CDK RFC 431).
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.core.utils import get_service_model

from local.sagemaker import shapes
from local.sagemaker.async_queue import AsyncRequest
from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.objects import Location, MissingInput

SERVICE, OPERATION = "sagemaker-runtime", "InvokeEndpointAsync"
PASSED_ON = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
TTL_SECONDS, TIMEOUT_SECONDS = 21_600, 900
"""RequestTTLSeconds and InvocationTimeoutSeconds where nothing is said."""
BODY_LIMIT = 128_000


def parse(endpoint: str, config: dict[str, Any], headers: dict[str, str], body: bytes) -> AsyncRequest:
    """Return the request.

    Args:
        endpoint: its name.
        config: AsyncInferenceConfig of the fleet in service.
        headers: of the HTTP request, names in lower case.
        body: of the HTTP request.

    Raises:
        Refused: when AWS would not take it.
    """
    given = {"EndpointName": endpoint, **_members(headers)}
    shapes.check(SERVICE, OPERATION, given)
    for member in ("S3OutputPathExtension", "Filename"):
        if member in given:
            raise NotEmulated(f"{OPERATION}'s {member}")
    if ("InputLocation" in given) == bool(body) or len(body) > BODY_LIMIT:
        raise Refused(f"Exactly one of InputLocation and Body, of at most {BODY_LIMIT} bytes, must be given")
    output, name = config["OutputConfig"], str(uuid.uuid4())
    inference = given.get("InferenceId") or str(uuid.uuid4())
    failures = output.get("S3FailurePath")
    return AsyncRequest(
        id=inference,
        source=_location(given["InputLocation"], "InputLocation") if "InputLocation" in given else None,
        payload=body,
        headers={PASSED_ON[name]: given[name] for name in PASSED_ON if name in given} | {
            PASSED_ON["InferenceId"]: inference
        },
        answer=_location(output["S3OutputPath"], "S3OutputPath") / f"{name}.out",
        failure=_location(failures, "S3FailurePath") / f"{name}-error.out" if failures else None,
        config=output,
        ttl=given.get("RequestTTLSeconds", TTL_SECONDS),
        timeout=given.get("InvocationTimeoutSeconds", TIMEOUT_SECONDS),
    )  # fmt: skip


def check_config(request: dict[str, Any]) -> None:
    """Refuse a CreateEndpointConfig whose AsyncInferenceConfig AWS, or the laptop, does not take."""
    config, variants = request.get("AsyncInferenceConfig"), request["ProductionVariants"]
    if config is None:
        return
    if len(variants) != 1 or "ServerlessConfig" in variants[0]:
        raise Refused("With AsyncInferenceConfig there must be exactly one production variant, on instances")
    output = config["OutputConfig"]
    if "DataCaptureConfig" in request:
        raise NotEmulated("DataCaptureConfig beside AsyncInferenceConfig")
    if "S3OutputPath" not in output:
        raise NotEmulated("AsyncInferenceConfig.OutputConfig without S3OutputPath")
    if "IncludeInferenceResponseIn" in output.get("NotificationConfig", {}):
        raise NotEmulated("NotificationConfig.IncludeInferenceResponseIn")
    for member in ("S3OutputPath", "S3FailurePath"):
        _location(output.get(member, "s3://none/"), f"OutputConfig.{member}")


def notification(endpoint: str, request: AsyncRequest, region: str, *, content_type: str, failure: str) -> str:
    """Return the message to the success topic, or with a ``failure`` to the error topic."""
    asked = {"contentType": request.headers.get("Content-Type", ""), "endpointName": endpoint}
    told = {
        "awsRegion": region,
        "eventTime": _time(datetime.now(UTC)),
        "receivedTime": _time(request.received),
        "invocationStatus": "Failed" if failure else "Completed",
        "requestParameters": asked | ({"inputLocation": str(request.source)} if request.source else {}),
        "inferenceId": request.id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if failure:
        return json.dumps(told | {"failureReason": failure})
    return json.dumps(
        told | {"responseParameters": {"contentType": content_type, "outputLocation": str(request.answer)}}
    )


def _members(headers: dict[str, str]) -> dict[str, Any]:
    shape: Any = get_service_model(SERVICE).operation_model(OPERATION).input_shape
    members = {
        name: (member.type_name, headers.get(member.serialization["name"].lower()))
        for name, member in shape.members.items()
        if member.serialization.get("location") == "header"
    }
    return {
        name: int(value) if kind == "integer" and value.isdigit() else value
        for name, (kind, value) in members.items()
        if value is not None
    }


def _location(uri: str, what: str) -> Location:
    try:
        return Location.parse(uri)
    except MissingInput as error:
        raise Refused(f"{what}: {error}") from error


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
