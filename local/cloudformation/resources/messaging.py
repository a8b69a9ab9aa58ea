"""AWS::SNS::* and AWS::SQS::*."""

from __future__ import annotations

import json
from typing import Any

from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call

_TOPIC = (
    "DisplayName",
    "KmsMasterKeyId",
    "FifoTopic",
    "ContentBasedDeduplication",
    "SignatureVersion",
    "TracingConfig",
)
_QUEUE = (
    "DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled", "FifoQueue",
    "ContentBasedDeduplication", "RedrivePolicy", "RedriveAllowPolicy", "DeduplicationScope", "FifoThroughputLimit",
)  # fmt: skip


def _texts(properties: Properties, names: tuple[str, ...]) -> dict[str, str]:
    """Attributes as SNS and SQS want them: all of them text."""
    return {name: _text(value) for name, value in pick(properties, *names).items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


class Topic(Provider):
    """AWS::SNS::Topic."""

    known = frozenset({*_TOPIC, "TopicName", "Subscription", "Tags", "TopicPolicy"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the topic and its subscriptions."""
        self.check(properties)
        sns, name = context.client("sns"), properties.get("TopicName") or context.name()
        attributes = _texts(properties, _TOPIC)
        arn = sns.create_topic(Name=name, Attributes=attributes, Tags=context.tag_list(properties))["TopicArn"]
        for item in properties.get("Subscription", []):
            sns.subscribe(TopicArn=arn, Protocol=item["Protocol"], Endpoint=item["Endpoint"])
        return _topic(arn)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Set the attributes that changed; a new name or new subscriptions are a new topic."""
        if any(old.get(name) != new.get(name) for name in ("TopicName", "FifoTopic", "Subscription")):
            return self.create(context, new)
        self.check(new)
        for name, value in _texts(new, _TOPIC).items():
            context.client("sns").set_topic_attributes(TopicArn=physical_id, AttributeName=name, AttributeValue=value)
        return _topic(physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the topic."""
        context.client("sns").delete_topic(TopicArn=physical_id)


def _topic(arn: str) -> Made:
    return Made(physical_id=arn, attributes={"TopicArn": arn, "TopicName": arn.rsplit(":", 1)[1]})


class Subscription(Provider):
    """AWS::SNS::Subscription."""

    _attributes = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "DeliveryPolicy")
    known = frozenset({*_attributes, "TopicArn", "Protocol", "Endpoint"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Subscribe."""
        self.check(properties)
        arn = context.client("sns").subscribe(
            **pick(properties, "TopicArn", "Protocol", "Endpoint"),
            Attributes=_texts(properties, self._attributes),
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Made(physical_id=arn, attributes={"Arn": arn})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Unsubscribe."""
        context.client("sns").unsubscribe(SubscriptionArn=physical_id)


class TopicPolicy(Provider):
    """AWS::SNS::TopicPolicy."""

    known = frozenset({"Topics", "PolicyDocument"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Set the policy of every topic."""
        self.check(properties)
        for arn in properties["Topics"]:
            policy = json.dumps(properties["PolicyDocument"])
            context.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
        return Made(physical_id=context.name(), attributes={"Id": context.logical_id})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Set it again."""
        self.create(context, new)
        return Made(physical_id=physical_id, attributes={"Id": context.logical_id})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Leave it: it goes with its topics, as SNS has no policy-less topic."""


class Queue(Provider):
    """AWS::SQS::Queue."""

    known = frozenset({*_QUEUE, "QueueName", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the queue."""
        self.check(properties)
        name = properties.get("QueueName") or context.name(80)
        if str(properties.get("FifoQueue", "")).lower() == "true" and not name.endswith(".fifo"):
            name += ".fifo"
        tags = {key: str(value) for key, value in context.all_tags(properties).items()}
        made = call(
            context.client("sqs"), "create_queue", QueueName=name, Attributes=_texts(properties, _QUEUE), tags=tags
        )
        return _queue(context, made["QueueUrl"])

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Set the attributes; a new name or kind is a new queue."""
        if any(old.get(name) != new.get(name) for name in ("QueueName", "FifoQueue")):
            return self.create(context, new)
        self.check(new)
        attributes = _texts(new, _QUEUE)
        attributes.pop("FifoQueue", None)
        if attributes:
            context.client("sqs").set_queue_attributes(QueueUrl=physical_id, Attributes=attributes)
        return _queue(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the queue."""
        context.client("sqs").delete_queue(QueueUrl=physical_id)


def _queue(context: Context, url: str) -> Made:
    name = url.rsplit("/", 1)[1]
    arn = f"arn:aws:sqs:{context.cloud.region}:{context.cloud.account}:{name}"
    return Made(physical_id=url, attributes={"Arn": arn, "QueueName": name, "QueueUrl": url})


class QueuePolicy(Provider):
    """AWS::SQS::QueuePolicy."""

    known = frozenset({"Queues", "PolicyDocument"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Set the policy of every queue."""
        self.check(properties)
        _set_policy(context, properties, json.dumps(properties["PolicyDocument"]))
        return Made(physical_id=context.name(), attributes={"Id": context.logical_id})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Set it again."""
        self.create(context, new)
        return Made(physical_id=physical_id, attributes={"Id": context.logical_id})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Take the policy away from the queues that are still there."""
        _set_policy(context, properties, "")


def _set_policy(context: Context, properties: Properties, policy: str) -> None:
    sqs = context.client("sqs")
    for url in properties["Queues"]:
        try:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        except sqs.exceptions.QueueDoesNotExist:
            if policy:
                raise


PROVIDERS: dict[str, Provider] = {
    "AWS::SNS::Topic": Topic(),
    "AWS::SNS::Subscription": Subscription(),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::SQS::Queue": Queue(),
    "AWS::SQS::QueuePolicy": QueuePolicy(),
}
