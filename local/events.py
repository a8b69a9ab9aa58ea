"""EventBridge's delivery: an event reaches the targets of every rule that it matches.

Each target gets it on a thread of its own, at least once: a refused delivery is
tried again with growing waits as its RetryPolicy allows, then goes to its
dead-letter queue. Rules with a schedule are fired by ``local/event_schedules.py``.
"""

from __future__ import annotations

import logging
import random
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.events.models import EventBus, Rule, events_backends

from local.chaos import deliveries
from local.delivery import UnsupportedTarget, deliver
from local.event_input import target_text
from local.event_pattern import matches

if TYPE_CHECKING:
    from local.cloud import Cloud

MAX_ATTEMPTS = 185  # EventBridge's default, over 24 hours
LONGEST_WAIT_S = 3600
PERMANENT = (
    "AccessDeniedException",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "StateMachineDoesNotExist",
)

log = logging.getLogger(__name__)


def publish(
    cloud: Cloud, *, source: str, detail_type: str, detail: dict[str, Any], resources: list[str] | None = None
) -> str:
    """Put an event on the default bus as an AWS service does; return its id.

    Args:
        cloud: where.
        source: e.g. ``aws.sagemaker``.
        detail_type: e.g. ``SageMaker Training Job State Change``.
        detail: the service's own part of the event.
        resources: ARNs.
    """
    return publish_to(cloud, "default", envelope(cloud, source, detail_type, detail, resources or []))


def in_milliseconds(value: Any) -> Any:
    """Return a description as an event's detail: times in milliseconds since 1970."""
    if isinstance(value, dict):
        return {key: in_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_milliseconds(item) for item in value]
    return int(value.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(value, datetime) else value


def publish_to(cloud: Cloud, bus_name: str, event: dict[str, Any]) -> str:
    """Match ``event`` against the rules of a bus and start its deliveries; return its id."""
    bus: EventBus = events_backends[cloud.account][cloud.region].describe_event_bus(bus_name)
    for rule in list(bus.rules.values()):
        offer(cloud, rule, event)
    return str(event["id"])


def offer(cloud: Cloud, rule: Rule, event: dict[str, Any]) -> None:
    """Start the deliveries to the rule's targets if it is enabled and matches; a schedule matches no event."""
    pattern = rule.event_pattern.get_pattern()
    if rule.state == "ENABLED" and pattern and matches(pattern, event):
        send(cloud, rule, event)


def send(cloud: Cloud, rule: Rule, event: dict[str, Any]) -> None:
    """Start the deliveries of an event to the rule's targets."""
    for target in list(rule.targets):
        for wait in deliveries.waits(event, target["Arn"]):
            cloud.spawn(_deliver, cloud, rule, target, event, wait, name=f"event-{event['id']}-{target['Id']}")


def envelope(
    cloud: Cloud, source: str, detail_type: str, detail: dict[str, Any], resources: list[str], time: str = ""
) -> dict[str, Any]:
    """Return the event as targets see it; ``time`` is ISO 8601, by default now."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": cloud.account,
        "time": time or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": cloud.region,
        "resources": resources,
        "detail": detail,
    }


def _deliver(cloud: Cloud, rule: Rule, target: dict[str, Any], event: dict[str, Any], wait: float) -> None:
    if wait and cloud.clock.sleep(wait, cloud.stopping):
        return
    text = target_text(target, event, {"name": rule.name, "arn": rule.arn})
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    retries = target.get("RetryPolicy", {}).get("MaximumRetryAttempts", MAX_ATTEMPTS)
    for attempt in range(retries + 1):
        error = _attempt(cloud, target, text, group)
        if error is None:
            return
        last = attempt == retries or getattr(error, "response", {}).get("Error", {}).get("Code") in PERMANENT
        log.warning("event not delivered: rule=%s target=%s attempt=%d: %s", rule.name, target["Arn"], attempt, error)
        if last or isinstance(error, UnsupportedTarget):
            _give_up(cloud, rule, target, text, error, attempt)
            return
        wait = min(2.0**attempt, LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
        if cloud.clock.sleep(wait, cloud.stopping):
            return


def _attempt(cloud: Cloud, target: dict[str, Any], text: str, group: str | None) -> Exception | None:
    try:
        deliver(cloud, target["Arn"], text, group_id=group, role=target.get("RoleArn"))
    except (ClientError, BotoCoreError, UnsupportedTarget) as error:
        return error
    return None


def _give_up(cloud: Cloud, rule: Rule, target: dict[str, Any], text: str, error: Exception, retries: int) -> None:
    """Send the event to the target's dead-letter queue with EventBridge's attributes, or say that it is lost."""
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if not queue:
        log.error("event lost: rule=%s target=%s: %s", rule.name, target["Arn"], error)
        return
    code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    texts = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": str(error),
        "RETRY_ATTEMPTS": str(retries),
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
    deliver(cloud, queue, text, attributes=attributes)
