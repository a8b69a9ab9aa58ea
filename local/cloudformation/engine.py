"""Applies templates: creates, updates, deletes and rolls back, one resource after the other.

A stack's resources are made in the order of their references. What fails stops
the operation; then everything done is undone, as CloudFormation does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.apigateway import address
from local.cloudformation import resources
from local.cloudformation.errors import ResourceFailed, ValidationError
from local.cloudformation.functions import Scope
from local.cloudformation.model import Resource, Stack, now
from local.cloudformation.resources.base import Context, Provider
from local.cloudformation.template import creation_order

if TYPE_CHECKING:
    from local.cloud import Cloud

_FAILURES = (ClientError, BotoCoreError, ResourceFailed, ValidationError, KeyError, TypeError, ValueError)

log = logging.getLogger(__name__)


class Engine:
    """Makes stacks true.

    Args:
        cloud: where.
        imported: export name -> value, or raises ValidationError.
    """

    def __init__(self, cloud: Cloud, imported: Callable[[str], str]) -> None:
        self._cloud, self._imported = cloud, imported

    def create(self, stack: Stack) -> None:
        """Make everything in ``stack.template``; on failure take it away again unless asked to keep it."""
        try:
            self._apply(stack, "CREATE")
        except ResourceFailed as failure:
            self._undo_creation(stack, str(failure))
        else:
            stack.set_status("CREATE_COMPLETE")

    def update(self, stack: Stack, previous: Stack) -> None:
        """Make the stack as its new template says; on failure as ``previous`` said."""
        try:
            self._apply(stack, "UPDATE")
        except ResourceFailed as failure:
            stack.set_status("UPDATE_ROLLBACK_IN_PROGRESS", str(failure))
            stack.template, stack.template_text = previous.template, previous.template_text
            stack.parameters, stack.given, stack.tags = previous.parameters, previous.given, previous.tags
            self._roll_back(stack)
        else:
            stack.set_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._remove(stack, [name for name in stack.resources if not self._wanted(stack, name)])
            stack.set_status("UPDATE_COMPLETE")

    def delete(self, stack: Stack) -> None:
        """Remove everything that is not to be retained."""
        failed = self._remove(stack, list(stack.resources))
        if failed:
            stack.set_status("DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. ")
        else:
            stack.deleted = now()
            stack.outputs = []
            stack.set_status("DELETE_COMPLETE")

    def _undo_creation(self, stack: Stack, reason: str) -> None:
        if stack.keep_on_failure:
            stack.set_status("CREATE_FAILED", reason)
            return
        if stack.delete_on_failure:
            stack.set_status("DELETE_IN_PROGRESS", reason)
            self.delete(stack)
            return
        stack.set_status("ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
        failed = self._remove(stack, list(stack.resources))
        stack.set_status("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE", reason)

    def _roll_back(self, stack: Stack) -> None:
        try:
            self._apply(stack, "UPDATE")
        except ResourceFailed as failure:
            stack.set_status("UPDATE_ROLLBACK_FAILED", str(failure))
            return
        self._remove(stack, [name for name in stack.resources if not self._wanted(stack, name)])
        stack.set_status("UPDATE_ROLLBACK_COMPLETE")

    def _apply(self, stack: Stack, verb: str) -> None:
        scope = self.scope(stack)
        for name in self._guard(stack, name="", work=lambda: creation_order(stack.template)):
            if self._cloud.stopping.is_set():
                raise ResourceFailed("the laptop cloud is stopping")
            if self._wanted(stack, name):
                self._apply_one(stack, name, scope)
        stack.outputs = self._guard(stack, name="", work=lambda: self._outputs(stack, scope))

    def _apply_one(self, stack: Stack, name: str, scope: Scope) -> None:
        written = stack.template["Resources"][name]
        properties = self._guard(stack, name, lambda: scope.resolve(written.get("Properties", {})))
        existing = stack.resources.get(name)
        if existing is None or existing.kind != written["Type"]:
            self._create_one(stack, name, written, properties)
            if existing is not None:
                self._remove_one(stack, existing)
        elif existing.properties != properties:
            self._update_one(stack, existing, properties)
        stack.resources[name].retain = written.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")

    def _create_one(self, stack: Stack, name: str, written: dict[str, Any], properties: dict[str, Any]) -> None:
        resource = Resource(logical_id=name, kind=written["Type"])
        stack.mark(resource, "CREATE_IN_PROGRESS")
        provider = self._guard(stack, name, lambda: resources.provider(written["Type"]), resource)
        if provider is None:
            log.info("skipped %s %s: %s", written["Type"], name, resources.SKIPPED[written["Type"]])
        context = self._context(stack, name, written["Type"])
        made = self._guard(stack, name, lambda: (provider or resources.NOTHING).create(context, properties), resource)
        resource.physical_id, resource.attributes, resource.properties = made.physical_id, made.attributes, properties
        stack.resources[name] = resource
        stack.mark(resource, "CREATE_COMPLETE")

    def _update_one(self, stack: Stack, resource: Resource, properties: dict[str, Any]) -> None:
        stack.mark(resource, "UPDATE_IN_PROGRESS")
        provider = self._provider(resource)
        context = self._context(stack, resource.logical_id, resource.kind)
        old_id, old_properties = resource.physical_id, resource.properties
        made = self._guard(
            stack,
            resource.logical_id,
            lambda: provider.update(context, old_id, old_properties, properties),
            resource,
        )
        resource.physical_id, resource.attributes, resource.properties = made.physical_id, made.attributes, properties
        stack.mark(resource, "UPDATE_COMPLETE")
        if made.physical_id != old_id:
            self._guard(stack, resource.logical_id, lambda: provider.delete(context, old_id, old_properties), resource)

    def _remove(self, stack: Stack, names: list[str]) -> list[str]:
        """Delete resources, the last made first; return the names of those that would not go."""
        waiting = [stack.resources[name] for name in reversed(list(stack.resources)) if name in names]
        failed: list[Resource] = []
        for _ in range(3):  # a dependency that no reference shows may need a second pass
            failed = [resource for resource in waiting if not self._remove_one(stack, resource)]
            if not failed or len(failed) == len(waiting):
                break
            waiting = failed
        return [resource.logical_id for resource in failed]

    def _remove_one(self, stack: Stack, resource: Resource) -> bool:
        if stack.resources.get(resource.logical_id) is resource:
            del stack.resources[resource.logical_id]
        if resource.retain:
            stack.mark(resource, "DELETE_SKIPPED")
            return True
        stack.mark(resource, "DELETE_IN_PROGRESS")
        context = self._context(stack, resource.logical_id, resource.kind)
        try:
            self._provider(resource).delete(context, resource.physical_id, resource.properties)
        except _FAILURES as error:
            if not _is_missing(error):
                stack.resources.setdefault(resource.logical_id, resource)
                stack.mark(resource, "DELETE_FAILED", _reason(error))
                return False
        stack.mark(resource, "DELETE_COMPLETE")
        return True

    def scope(self, stack: Stack) -> Scope:
        """Return what expressions of ``stack`` refer to."""

        def reference(name: str) -> str:
            return self._existing(stack, name).physical_id

        def attribute(name: str, wanted: str) -> Any:
            resource = self._existing(stack, name)
            if wanted in resource.attributes:
                return resource.attributes[wanted]
            raise ResourceFailed(
                f"Template error: resource {name} ({resource.kind}) does not support attribute type {wanted} in "
                f"Fn::GetAtt; the laptop cloud knows {', '.join(sorted(resource.attributes)) or 'none'}"
            )

        def imported(name: str) -> str:
            value = self._imported(name)
            stack.imports.add(name)
            return value

        return Scope(
            template=stack.template,
            parameters=stack.parameters,
            pseudo=self._pseudo(stack),
            reference=reference,
            attribute=attribute,
            imported=imported,
        )

    def _existing(self, stack: Stack, name: str) -> Resource:
        if name not in stack.resources:
            raise ResourceFailed(f"Template error: {name} is referred to, but its condition keeps it from being made")
        return stack.resources[name]

    def _pseudo(self, stack: Stack) -> dict[str, Any]:
        return {
            "AWS::AccountId": self._cloud.account,
            "AWS::Region": self._cloud.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": stack.stack_id,
            "AWS::StackName": stack.name,
            "AWS::NotificationARNs": stack.notification_arns,
        }

    def _wanted(self, stack: Stack, name: str) -> bool:
        written = stack.template["Resources"].get(name)
        if written is None:
            return False
        return "Condition" not in written or self.scope(stack).condition(written["Condition"])

    def _outputs(self, stack: Stack, scope: Scope) -> list[dict[str, str]]:
        outputs = []
        for name, written in (stack.template.get("Outputs") or {}).items():
            if "Condition" in written and not scope.condition(written["Condition"]):
                continue
            value = address.on_this_machine(str(scope.resolve(written["Value"])), self._cloud.url)
            output = {"OutputKey": name, "OutputValue": value}
            if "Description" in written:
                output["Description"] = written["Description"]
            if "Export" in written:
                output["ExportName"] = scope.resolve(written["Export"]["Name"])
            outputs.append(output)
        return outputs

    def _provider(self, resource: Resource) -> Provider:
        return resources.provider(resource.kind) or resources.NOTHING

    def _context(self, stack: Stack, name: str, kind: str) -> Context:
        return Context(
            cloud=self._cloud,
            stack_name=stack.name,
            stack_id=stack.stack_id,
            logical_id=name,
            kind=kind,
            tags=stack.tags,
        )

    def _guard(self, stack: Stack, name: str, work: Callable[[], Any], resource: Resource | None = None) -> Any:
        """Do ``work``; a failure becomes the resource's status and ResourceFailed."""
        try:
            return work()
        except _FAILURES as error:
            reason = _reason(error)
            log.warning("stack %s: %s: %s", stack.name, name or "template", reason)
            if resource is not None:
                stack.mark(resource, f"{resource.status.split('_')[0]}_FAILED", reason)
            elif name:
                kind = stack.template["Resources"][name]["Type"]
                stack.tell(kind, name, "", "CREATE_FAILED", reason)
            raise ResourceFailed(f"{name}: {reason}" if name else reason) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.message)
    if isinstance(error, KeyError):
        return f"property {error} is missing"
    return str(error) or type(error).__name__


def _is_missing(error: Exception) -> bool:
    """Whether what was to be deleted is gone already, which is as good."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in _MISSING_CODES or code.endswith(("NotFound", "NotFoundException", "DoesNotExist"))


_MISSING_CODES = ("NoSuchBucket", "NoSuchEntity", "NoSuchBucketPolicy", "NotFound", "QueueDoesNotExist")
