"""AWS SDK integrations: ``arn:aws:states:::aws-sdk:<service>:<action>``.

"Learning to use AWS service SDK integrations" (developer guide). The service is
named as in the AWS SDK for Java 2.x, and so are its errors: the service and the
exception's class, ``S3.NoSuchKeyException``, ``DynamoDb.ConditionalCheckFailedException``;
an error code without a class of its own is the service's, ``S3.S3Exception``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import botocore.session

from local.stepfunctions.tasks import shapes
from local.stepfunctions.tasks.integration import Integration, Task

# Services that boto3 and the SDK for Java name differently.
_BOTO_NAMES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "costexplorer": "ce",
    "elasticloadbalancingv2": "elbv2",
}
# HEAD has no body to tell the error, so the SDK for Java goes by the request (ExceptionTranslationInterceptor).
_HEAD_ERRORS = {("s3", "headObject"): "NoSuchKey", ("s3", "headBucket"): "NoSuchBucket"}


@lru_cache
def integration(service: str, action: str) -> Integration | None:
    """Return the integration of an SDK service; None for a service that boto3 does not have."""
    boto = _boto_name(service)
    if boto is None:
        return None
    name = service_name(str(shapes.service_model(boto).metadata["serviceId"]))

    def error(code: str, modelled: bool) -> str:
        if code == "404" and (service, action) in _HEAD_ERRORS:
            code, modelled = _HEAD_ERRORS[service, action], True
        return f"{name}.{_exception(code) if modelled else name + 'Exception'}"

    return Integration(service=boto, error=error, millis=False, prepare=_decode_source)


def _decode_source(arguments: dict[str, Any], task: Task) -> dict[str, Any]:
    """Leave the encoding of CopySource to boto3: the SDK for Java wants it encoded, and boto3 encodes it again."""
    source = arguments.get("CopySource")
    return {**arguments, "CopySource": unquote(source)} if isinstance(source, str) else arguments


def service_name(service_id: str) -> str:
    """Return the name before the dot: ``DynamoDB`` is ``DynamoDb``, ``SFN`` is ``Sfn``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", re.sub(r"^(AWS|Amazon)\s+", "", service_id))
    return "".join(word.capitalize() for word in words)


def _exception(code: str) -> str:
    return re.sub(r"(Exception|Fault)$", "", code) + "Exception"


@lru_cache
def _boto_name(service: str) -> str | None:
    names = botocore.session.get_session().get_available_services()
    wanted = _BOTO_NAMES.get(service, service)
    return next((name for name in names if wanted in (name, name.replace("-", ""))), None)
