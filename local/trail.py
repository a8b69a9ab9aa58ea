"""CloudTrail: who called what, told on the event bus while a trail is logging that.

Contract: "CloudTrail record contents" (AWS CloudTrail User Guide), "AWS service events delivered by AWS CloudTrail"
(Amazon EventBridge User Guide). moto has trails that record nothing. Recorded here are the calls of RECORDED; no log
file is written, and an event comes at once, on AWS within minutes. What AWS hides of a call's parameters is hidden.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.cloudtrail.models import Trail, cloudtrail_backends
from moto.sts.models import sts_backends

from local import events
from local.cloudformation.resources.base import lower_first
from local.permissions import requests
from local.permissions.requests import Call

if TYPE_CHECKING:
    from local.cloud import Cloud

RECORDED = {
    "states": {"StartExecution", "StopExecution", "RedriveExecution"},
    "sagemaker": {"CreateModelPackage", "UpdateModelPackage", "DeleteModelPackage"},
    "s3": {"PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject", "DeleteObjects"},
}
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
HIDES = ("input", "error", "cause", "customerMetadataProperties", "modelCard")
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "Equals": str.__eq__,
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
}
Headers = Iterable[tuple[str, str]]
Answered = Callable[[Headers, bytes], None]
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is answered now: S3's own events name it, too."""


class CloudTrail:
    """Hears every request at the cloud's door.

    Args:
        cloud: whose.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def hear(self, environ: dict[str, Any]) -> Answered | None:
        """Return what to call with the answer of a request that is recorded; None of any other."""
        key, service = requests.signer(environ)
        REQUEST_ID.set(uuid.uuid4().hex[:16].upper())
        trails = [trail for trail in self._trails() if trail.status.is_logging] if service in RECORDED else []
        call = requests.read(environ, service) if trails else None
        if call is None or call.operation not in RECORDED[service]:
            return None
        record = {**self._record(call, key), "userAgent": environ.get("HTTP_USER_AGENT", "")}
        if not any(logs(trail, fields(call)) for trail in trails):
            return None
        return lambda headers, body: self._tell(service, {**record, "responseElements": response(headers, body)})

    def _trails(self) -> Iterator[Trail]:
        yield from list(cloudtrail_backends[self.cloud.account][self.cloud.region].trails.values())

    def _record(self, call: Call, key: str) -> dict[str, Any]:
        data = call.service == "s3"
        copied = call.service == "s3" and "x-amz-copy-source" in call.headers
        return {
            "eventVersion": "1.11",
            "userIdentity": self._identity(key),
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{call.service}.amazonaws.com",
            "eventName": "CopyObject" if copied else call.operation,
            "awsRegion": self.cloud.region,
            "sourceIPAddress": "127.0.0.1",
            "requestParameters": parameters(call),
            "requestID": REQUEST_ID.get(),
            "eventID": str(uuid.uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": not data,
            "recipientAccountId": self.cloud.account,
            "eventCategory": "Data" if data else "Management",
        }

    def _identity(self, key: str) -> dict[str, Any]:
        session = self.cloud.callers.of(key) if key.startswith("ASIA") else None
        if session is None:
            user, arn, account = sts_backends[self.cloud.account]["aws"].get_caller_identity(key, self.cloud.region)
            return {"type": "IAMUser", "principalId": user, "arn": arn, "accountId": account}
        issuer = {"type": "Role", "arn": session.role, "userName": session.role.rpartition("/")[2]}
        return {
            "type": "AssumedRole",
            "arn": session.arn,
            "accountId": self.cloud.account,
            "sessionContext": {"sessionIssuer": issuer},
        }

    def _tell(self, service: str, record: dict[str, Any]) -> None:
        kind = "AWS API Call via CloudTrail"
        events.publish(self.cloud, source=f"aws.{service}", detail_type=kind, detail=record)


def parameters(call: Call) -> dict[str, Any]:
    """Return a call's parameters as records show them."""
    if call.service == "s3":
        return {"bucketName": call.params["Bucket"]} | ({"key": call.params["Key"]} if "Key" in call.params else {})
    shown = lower_first(dict(call.params))
    return {name: HIDDEN if name in HIDES else value for name, value in shown.items()}


def response(headers: Headers, body: bytes) -> dict[str, Any] | None:
    """Return an answer as records show it: S3's by its headers."""
    told = {name: value for name, value in headers if name.lower() == "x-amz-version-id"}
    given = json.loads(body) if body[:1] == b"{" else {}
    return {**lower_first(given), **told} or None


def fields(call: Call) -> dict[str, str]:
    """Return what selectors ask of a call."""
    found = {"eventCategory": "Management", "readOnly": "false", "eventName": call.operation}
    if call.service == "s3":
        arn = f"arn:aws:s3:::{call.params['Bucket']}/{call.params.get('Key', '')}"
        found |= {"eventCategory": "Data", "resources.type": "AWS::S3::Object", "resources.ARN": arn}
    return found


def logs(trail: Trail, call: Mapping[str, str]) -> bool:
    """Say whether a trail's selectors include a call; one without any logs management events."""
    if trail.advanced_event_selectors:
        return any(_selects(each["FieldSelectors"], call) for each in trail.advanced_event_selectors)
    selectors = trail.event_selectors or [{}]
    if call["eventCategory"] == "Management":
        return any(str(each.get("IncludeManagementEvents", True)).lower() == "true" for each in selectors)
    return any(_is_among(each.get("DataResources") or (), call) for each in selectors)


def _selects(selectors: Iterable[Mapping[str, Any]], call: Mapping[str, str]) -> bool:
    return all(_holds(each, call.get(each["Field"], "")) for each in selectors)


def _holds(selector: Mapping[str, Any], value: str) -> bool:
    for name, test in OPERATORS.items():
        if name in selector and not any(test(value, wanted) for wanted in selector[name]):
            return False
        if f"Not{name}" in selector and any(test(value, wanted) for wanted in selector[f"Not{name}"]):
            return False
    return True


def _is_among(resources: Iterable[Mapping[str, Any]], call: Mapping[str, str]) -> bool:
    kinds = [each for each in resources if each["Type"] == call["resources.type"]]
    return any(call["resources.ARN"].startswith(prefix) for each in kinds for prefix in each["Values"])
