"""A function subscribed to a topic is told which message of which topic it gets.

AWS sends a record with the topic's ARN, the subscription's, the message's id,
time, subject and attributes. moto sends constants for all but the message.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.sns.models import Subscription

from local.delivery import deliver

if TYPE_CHECKING:
    from local.cloud import Cloud


def _event(
    subscription: Subscription, message: str, message_id: str, subject: str | None, attributes: dict[str, Any]
) -> dict[str, Any]:
    """The event of AWS's documentation ("Using AWS Lambda with Amazon SNS")."""
    notification = {
        "SignatureVersion": "1",
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "MessageId": message_id,
        "Message": message,
        "MessageAttributes": {
            name: {"Type": item["Type"], "Value": item["Value"]} for name, item in attributes.items()
        },
        "Type": "Notification",
        "TopicArn": subscription.topic_arn,
        "Subject": subject,
    }
    source = {"EventVersion": "1.0", "EventSource": "aws:sns", "EventSubscriptionArn": subscription.arn}
    return {"Records": [{**source, "Sns": notification}]}


def install(cloud: Cloud) -> None:
    """Deliver to functions; other protocols stay moto's."""
    others = Subscription.publish

    def publish(self: Subscription, message: str, message_id: str, subject: str | None = None, **rest: Any) -> None:
        if self.protocol != "lambda":
            others(self, message, message_id, subject=subject, **rest)
            return
        attributes = rest.get("message_attributes") or {}
        if self._filter_policy_matcher is not None and not self._filter_policy_matcher.matches(attributes, message):
            return
        if rest.get("message_structure") == "json":
            message = self._parse_message_structure(message, self.protocol)
        event = _event(self, message, message_id, subject, attributes)
        cloud.spawn(deliver, cloud, self.endpoint, json.dumps(event), name=f"sns-{message_id}")

    setattr(Subscription, "publish", publish)  # noqa: B010
