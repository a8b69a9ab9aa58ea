"""What every resource type shares."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.cloudformation.errors import ResourceFailed

if TYPE_CHECKING:
    from local.cloud import Cloud

Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource that exists: what ``Ref`` and ``Fn::GetAtt`` give."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Context:
    """For whom a resource is made."""

    cloud: Cloud
    stack_name: str
    stack_id: str
    logical_id: str
    kind: str
    tags: dict[str, str]

    def client(self, service: str) -> Any:
        """The cloud's boto3 client."""
        return self.cloud.client(service)

    def name(self, limit: int = 64) -> str:
        """A physical name as CloudFormation makes them: stack, logical id, random."""
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        room = limit - len(suffix) - 1
        head = f"{self.stack_name}-{self.logical_id}"
        if len(head) > room:
            half = (room - 1) // 2
            head = f"{self.stack_name[:half]}-{self.logical_id[: room - min(half, len(self.stack_name)) - 1]}"
        return f"{head}-{suffix}"

    def all_tags(self, properties: Properties) -> dict[str, str]:
        """The resource's own tags over the stack's; CloudFormation has them as a list or as a mapping."""
        own = properties.get("Tags") or {}
        if isinstance(own, list):
            own = {tag["Key"]: tag["Value"] for tag in own}
        return {**self.tags, **own}

    def tag_list(self, properties: Properties) -> list[dict[str, str]]:
        """``all_tags`` as ``[{Key, Value}]``."""
        return [{"Key": key, "Value": str(value)} for key, value in self.all_tags(properties).items()]


class Provider:
    """Makes resources of one type.

    A provider that cannot update replaces: the engine deletes the old one afterwards.
    """

    known: frozenset[str] = frozenset()  # the properties that are applied; ``check`` refuses all others

    def create(self, context: Context, properties: Properties) -> Made:
        """Make the resource."""
        raise NotImplementedError

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Make the resource as ``new`` says."""
        return self.create(context, new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Remove the resource."""
        raise NotImplementedError

    def check(self, properties: Properties) -> None:
        """Refuse properties that would be silently ignored."""
        unknown = sorted(set(properties) - self.known)
        if unknown:
            raise ResourceFailed(f"not emulated by the laptop cloud: {', '.join(unknown)}")


class Nothing(Provider):
    """Stands for a type that is skipped on purpose."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Make nothing."""
        return Made(physical_id=context.name())

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Change nothing."""
        return Made(physical_id=physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Remove nothing."""


def pick(properties: Properties, *names: str) -> Properties:
    """Return the named properties that are there."""
    return {name: properties[name] for name in names if name in properties}


def lower_first(value: Any, **special: str) -> Any:
    """Return ``value`` with keys as services with camelCase APIs spell them: ``RoleArn`` -> ``roleArn``."""
    if isinstance(value, list):
        return [lower_first(item, **special) for item in value]
    if isinstance(value, dict):
        return {
            special.get(key, key[:1].lower() + key[1:]): lower_first(item, **special) for key, item in value.items()
        }
    return value
