"""A bucket says that it sends its events to EventBridge.

AWS returns the EventBridge part of a bucket's notification configuration. moto
keeps it and acts on it, but leaves it out of the answer, so that whoever reads
the configuration, changes it and puts it back turns the events off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.s3.responses import S3Response

if TYPE_CHECKING:
    from local.cloud import Cloud

_KINDS = (
    ("topic", "TopicConfigurations", "TopicArn"),
    ("queue", "QueueConfigurations", "QueueArn"),
    ("cloud_function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
)


def _described(configuration: Any) -> dict[str, Any]:
    """The answer of GetBucketNotificationConfiguration."""
    described: dict[str, Any] = {
        name: [_one(item, arn) for item in getattr(configuration, attribute)] for attribute, name, arn in _KINDS
    }
    if configuration.event_bridge is not None:
        described["EventBridgeConfiguration"] = {}
    return described


def _one(item: Any, arn: str) -> dict[str, Any]:
    one = {"Id": item.id, arn: item.arn, "Events": item.events}
    if item.filters:
        one["Filter"] = {"Key": {"FilterRules": item.filters["S3Key"]["FilterRule"]}}
    return one


def install(cloud: Cloud) -> None:
    """Answer with all parts."""

    def get_bucket_notification(self: S3Response) -> Any:
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        self.data["Action"] = "GetBucketNotificationConfiguration"  # which shape to answer in
        return self.serialized(ActionResult(_described(configuration) if configuration else {}))

    setattr(S3Response, "get_bucket_notification", get_bucket_notification)  # noqa: B010
