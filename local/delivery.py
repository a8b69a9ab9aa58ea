"""Sends a message to whatever an ARN names: a queue, a topic, a function, a state machine, a log group, a bus.

EventBridge targets, Lambda destinations and dead-letter queues all go this way.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import logs

if TYPE_CHECKING:
    from local.cloud import Cloud


EVENTBRIDGE = "events.amazonaws.com"


class UnsupportedTarget(ValueError):
    """The laptop cloud cannot deliver to this kind of ARN."""


def service_of(arn: str) -> str:
    """Return the service that ``arn`` belongs to, e.g. ``sqs``; raise UnsupportedTarget when none delivers it."""
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service not in _SENDERS:
        raise UnsupportedTarget(
            f"target {arn!r} is not emulated; the laptop cloud delivers to {', '.join(sorted(_SENDERS))}"
        )
    return service


def deliver(cloud: Cloud, arn: str, text: str, **options: Any) -> None:
    """Send ``text`` to ``arn``; raise the service's ClientError when it is refused.

    Args:
        cloud: where.
        arn: of the queue, topic, function, state machine, log group or event bus.
        text: the message; JSON where the receiver wants JSON.
        options: ``attributes`` (SQS and SNS message attributes), ``group_id`` (FIFO queues), ``role`` (the ARN of the
            role that sends it), ``service`` (the principal that sends it where no role does; EventBridge by default).
    """
    service = options.get("service", EVENTBRIDGE)
    if not options.get("role") and not cloud.guard.service_may_send(service, arn):
        raise refused(service, arn)
    _SENDERS[service_of(arn)](cloud, arn, text, options)


def refused(service: str, arn: str) -> ClientError:
    """Return the error of a message whose key its sender may not use."""
    message = f"{service} may not use the key of {arn}: the key's policy does not allow it"
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "SendMessage")


def _client(cloud: Cloud, service: str, options: dict[str, Any]) -> Any:
    role = options.get("role")
    return cloud.callers.client(role, service, "delivery") if role else cloud.client(service)


def _to_queue(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    url = cloud.client("sqs").get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
    sqs = _client(cloud, "sqs", options)
    group = {"MessageGroupId": options["group_id"]} if options.get("group_id") else {}
    sqs.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=options.get("attributes", {}), **group)


def _to_topic(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    _client(cloud, "sns", options).publish(TopicArn=arn, Message=text, MessageAttributes=options.get("attributes", {}))


def _to_function(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    _client(cloud, "lambda", options).invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())


def _to_state_machine(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    states = _client(cloud, "stepfunctions", options)
    states.start_execution(stateMachineArn=arn, name=str(uuid.uuid4()), input=text)


def _to_log_group(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    group = arn.split(":log-group:", 1)[1].removesuffix(":*")
    stream = logs.LogStream(account=cloud.account, region=cloud.region, group=group, name=str(uuid.uuid4()))
    stream.write([text])


def _to_bus(cloud: Cloud, arn: str, text: str, options: dict[str, Any]) -> None:
    """Put an event on a bus; a Lambda destination's record becomes the detail of Lambda's own event."""
    event = json.loads(text)
    if "detail-type" not in event:
        ending = "Failure" if event["requestContext"]["condition"] != "Success" else "Success"
        kind = f"Lambda Function Invocation Result - {ending}"
        resources = [arn, event["requestContext"]["functionArn"]]
        event = {"source": "lambda", "detail-type": kind, "detail": event, "resources": resources}
    entry = {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event["resources"],
        "EventBusName": arn,
    }
    cloud.client("events").put_events(Entries=[entry])


_SENDERS: dict[str, Callable[[Cloud, str, str, dict[str, Any]], None]] = {
    "sqs": _to_queue,
    "sns": _to_topic,
    "lambda": _to_function,
    "states": _to_state_machine,
    "logs": _to_log_group,
    "events": _to_bus,
}
