"""S3's EventBridge events say what AWS's say.

Contract: "EventBridge event message structure" in the S3 user guide: ``etag`` in
lower case, a ``sequencer`` that grows, ``reason`` as the API call's name, the
version only in versioned buckets. moto writes ``eTag``, one constant sequencer,
``Put`` for ``PutObject``, a version "null", tells a multipart upload twice, and
swallows every error.
"""

from __future__ import annotations

import itertools
import time
import uuid
from typing import TYPE_CHECKING, Any

from moto.s3 import notifications
from moto.s3.models import S3Backend, s3_backends
from moto.s3.notifications import S3NotificationEvent

from local import events
from local.trail import REQUEST_ID

if TYPE_CHECKING:
    from local.cloud import Cloud

_REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
    "Delete": "DeleteObject",
    "DeleteMarkerCreated": "DeleteObject",
}
_count = itertools.count(time.time_ns())


def _detail(account: str, name: str, bucket: Any, key: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"key": key.name}
    if not name.startswith("s3:ObjectRemoved"):
        described |= {"size": key.size, "etag": key.etag.replace('"', "")}
    if bucket.is_versioned:
        described["version-id"] = key.version_id
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {**described, "sequencer": f"{next(_count):018X}"},
        "request-id": REQUEST_ID.get() or uuid.uuid4().hex[:16].upper(),  # of the request that is answered
        "requester": account,
        "source-ip-address": "127.0.0.1",
    }
    reason = _REASONS.get(name.rsplit(":", 1)[1])
    if name.startswith("s3:ObjectRemoved"):
        detail["deletion-type"] = "Permanently Deleted" if name.endswith(":Delete") else "Delete Marker Created"
    return {**detail, "reason": reason} if reason else detail


def install(cloud: Cloud) -> None:
    """Publish S3's events through the laptop cloud's own delivery."""

    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        name = S3NotificationEvent(event_name).value
        if name == "s3:ObjectTagging:Put" and not s3_backends[account_id]["aws"].tagger.get_tag_dict_for_resource(
            key.arn
        ):
            return  # moto's PutObject sets tags even when there are none
        events.publish(
            cloud,
            source="aws.s3",
            detail_type=notifications._detail_type(event_name),
            detail=_detail(account_id, name, bucket, key),
            resources=[bucket.arn],
        )

    put = S3Backend.put_object

    def put_object(self: S3Backend, *args: Any, **kwargs: Any) -> Any:
        """Say nothing of the inner PutObject of a multipart upload, which is told as what it is afterwards."""
        if kwargs.get("multipart") is not None:
            kwargs.setdefault("disable_notification", True)
        return put(self, *args, **kwargs)

    notifications._send_event_bridge_message = send
    setattr(S3Backend, "put_object", put_object)  # noqa: B010
