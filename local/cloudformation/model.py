"""Stacks, their resources, events and change sets: what the API describes."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def now() -> datetime:
    """The present, as timestamps say it."""
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Resource:
    """One resource of a stack.

    Args:
        logical_id: its name in the template.
        kind: ``AWS::S3::Bucket``.
        physical_id: what ``Ref`` gives; "" until it exists.
        attributes: what ``Fn::GetAtt`` gives.
        properties: resolved, as they were last applied.
        retain: whether deletion leaves it.
        status, reason: as DescribeStackResources shows them.
    """

    logical_id: str
    kind: str
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    retain: bool = False
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    changed: datetime = field(default_factory=now)


@dataclass(kw_only=True)
class Stack:
    """One stack. ``resources`` holds only what exists."""

    name: str
    stack_id: str
    status: str
    template_text: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    role: str = ""
    notification_arns: list[str] = field(default_factory=list)
    protected: bool = False
    keep_on_failure: bool = False
    delete_on_failure: bool = False
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: list[dict[str, str]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    policy: str = ""
    created: datetime = field(default_factory=now)
    updated: datetime | None = None
    deleted: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def exports(self) -> dict[str, str]:
        """Export name -> value."""
        return {output["ExportName"]: output["OutputValue"] for output in self.outputs if "ExportName" in output}

    @property
    def busy(self) -> bool:
        """Whether an operation is going on."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def set_status(self, status: str, reason: str = "") -> None:
        """Change the status and tell it as an event of the stack itself."""
        self.status, self.reason = status, reason
        self.tell("AWS::CloudFormation::Stack", self.name, self.stack_id, status, reason)

    def mark(self, resource: Resource, status: str, reason: str = "") -> None:
        """Change a resource's status and tell it."""
        resource.status, resource.reason, resource.changed = status, reason, now()
        self.tell(resource.kind, resource.logical_id, resource.physical_id, status, reason)

    def tell(self, kind: str, logical_id: str, physical_id: str, status: str, reason: str) -> None:
        """Add an event."""
        event = {
            "StackId": self.stack_id,
            "StackName": self.name,
            "EventId": str(uuid.uuid4()),
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical_id,
            "ResourceType": kind,
            "Timestamp": now(),
            "ResourceStatus": status,
        }
        self.events.append({**event, "ResourceStatusReason": reason} if reason else event)


@dataclass(kw_only=True)
class ChangeSet:
    """A change to one stack, prepared but not yet made."""

    name: str
    arn: str
    kind: str
    stack: Stack
    template_text: str
    template: dict[str, Any]
    given: dict[str, str]
    tags: dict[str, str] | None
    description: str
    changes: list[dict[str, Any]]
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"
    reason: str = ""
    on_failure: str = ""
    created: datetime = field(default_factory=now)
