"""CloudFormation's operations on stacks and change sets, apart from their wire format."""

from __future__ import annotations

import copy
import threading
import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local.cloudformation import parameters
from local.cloudformation.engine import Engine
from local.cloudformation.errors import AlreadyExists, ChangeSetNotFound, ValidationError
from local.cloudformation.model import ChangeSet, Stack, now
from local.cloudformation.template import creation_order, parse, references

if TYPE_CHECKING:
    from local.cloud import Cloud

_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


class CloudFormation:
    """All stacks of the laptop cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._engine = Engine(cloud, self._import)
        self._lock = threading.Lock()
        self.stacks: dict[str, Stack] = {}  # by stack id, deleted ones included
        self.change_sets: dict[str, ChangeSet] = {}

    # --- finding

    def find(self, name: str) -> Stack:
        """Return the stack of that name or id; a deleted one only by its id."""
        if name in self.stacks:
            return self.stacks[name]
        for stack in self.stacks.values():
            if stack.name == name and stack.status != "DELETE_COMPLETE":
                return stack
        raise ValidationError(f"Stack with id {name} does not exist")

    def find_change_set(self, name: str, stack_name: str | None) -> ChangeSet:
        """Return the change set of that ARN, or of that name in a stack."""
        if name in self.change_sets:
            return self.change_sets[name]
        for change_set in self.change_sets.values():
            if change_set.name == name and stack_name in (change_set.stack.name, change_set.stack.stack_id):
                return change_set
        raise ChangeSetNotFound(name)

    def living(self) -> list[Stack]:
        """Return the stacks that exist."""
        return [stack for stack in self.stacks.values() if stack.status != "DELETE_COMPLETE"]

    def exports(self) -> dict[str, tuple[Stack, str]]:
        """Export name -> (stack, value)."""
        return {name: (stack, value) for stack in self.living() for name, value in stack.exports.items()}

    def importers(self, export: str) -> list[str]:
        """Return the names of the stacks that use an export."""
        return [stack.name for stack in self.living() if export in stack.imports]

    # --- stacks

    def create(self, name: str, text: str, given: dict[str, str], **settings: Any) -> Stack:
        """Start the creation of a stack; ``settings`` are fields of Stack."""
        template = parse(text)
        creation_order(template)
        with self._lock:
            if any(stack.name == name for stack in self.living()):
                raise AlreadyExists(name)
            stack = self._new(name, "CREATE_IN_PROGRESS", **settings)
            try:
                self._take_over(stack, text, template, given)
            except ValidationError:
                del self.stacks[stack.stack_id]
                raise
        self._start(stack, self._engine.create, "CREATE_IN_PROGRESS")
        return stack

    def update(self, stack: Stack, text: str | None, given: dict[str, str], tags: dict[str, str] | None) -> None:
        """Start the update of a stack; raises when nothing would change."""
        text = stack.template_text if text is None else text
        self._check_idle(stack)
        if not self.changes(stack, parse(text), given, tags):
            raise ValidationError("No updates are to be performed.")
        self._update(stack, text, given, tags)

    def delete(self, stack: Stack) -> None:
        """Start the deletion of a stack."""
        if stack.status == "DELETE_COMPLETE":
            return
        if stack.protected:
            raise ValidationError(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        for name in stack.exports:
            if users := [user for user in self.importers(name) if user != stack.name]:
                raise ValidationError(f"Export {name} cannot be deleted as it is in use by {', '.join(users)}")
        self._check_idle(stack)
        self._start(stack, self._engine.delete, "DELETE_IN_PROGRESS")

    # --- change sets

    def create_change_set(
        self, kind: str, stack_name: str, name: str, text: str | None, given: dict[str, str], **settings: Any
    ) -> ChangeSet:
        """Prepare a change; a CREATE makes the stack, in review."""
        with self._lock:
            stack = self._reviewed(kind, stack_name)
            text = stack.template_text if text is None else text
            template = parse(text)
            creation_order(template)
            changes = self.changes(stack, template, given, settings.get("tags"))
            arn = f"arn:aws:cloudformation:{self._cloud.region}:{self._cloud.account}:changeSet/{name}/{uuid.uuid4()}"
            change_set = ChangeSet(
                name=name,
                arn=arn,
                kind=kind,
                stack=stack,
                template_text=text,
                template=template,
                given=given,
                changes=changes,
                **settings,
            )
            if not changes:
                change_set.status, change_set.execution, change_set.reason = "FAILED", "UNAVAILABLE", _NO_CHANGES
            self.change_sets[arn] = change_set
        return change_set

    def execute(self, change_set: ChangeSet, *, keep_on_failure: bool) -> None:
        """Start making the change."""
        if change_set.execution != "AVAILABLE":
            raise ValidationError(f"ChangeSet [{change_set.arn}] cannot be executed in its current status")
        stack = change_set.stack
        self._check_idle(stack)
        change_set.execution = "EXECUTE_COMPLETE"
        stack.keep_on_failure = keep_on_failure or change_set.on_failure == "DO_NOTHING"
        stack.delete_on_failure = change_set.on_failure == "DELETE"
        if change_set.kind == "CREATE":
            stack.tags = change_set.tags or {}
            self._take_over(stack, change_set.template_text, change_set.template, change_set.given)
            self._start(stack, self._engine.create, "CREATE_IN_PROGRESS")
        else:
            self._update(stack, change_set.template_text, change_set.given, change_set.tags)

    def changes(
        self, stack: Stack, template: dict[str, Any], given: dict[str, str], tags: dict[str, str] | None
    ) -> list[dict[str, Any]]:
        """Return what would change, as DescribeChangeSet shows it."""
        old, new = stack.template.get("Resources", {}), template["Resources"]
        moved = self._moved_parameters(stack, template, given)
        changed_tags = tags is not None and tags != stack.tags
        changes = [_change("Add", name, new[name], "") for name in new if name not in old]
        for name in old:
            known = stack.resources.get(name)
            physical = known.physical_id if known else ""
            if name not in new:
                changes.append(_change("Remove", name, old[name], physical))
            elif old[name] != new[name] or moved & set(references(new[name])) or changed_tags:
                changes.append(_change("Modify", name, new[name], physical))
        rest = ("Outputs", "Conditions", "Mappings", "Description", "Metadata", "Rules")
        if not changes and any(stack.template.get(part) != template.get(part) for part in rest):
            changes.append(_change("Modify", stack.name, {"Type": "AWS::CloudFormation::Stack"}, stack.stack_id))
        return changes

    # --- the rest is how

    def _reviewed(self, kind: str, name: str) -> Stack:
        """Return the stack that a change set is for."""
        try:
            stack = self.find(name)
        except ValidationError:
            if kind == "UPDATE":
                raise
            stack = self._new(name, "REVIEW_IN_PROGRESS")
            stack.set_status("REVIEW_IN_PROGRESS", "User Initiated")
            return stack
        if kind == "CREATE" and stack.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{name}] already exists and cannot be created again with the changeSet")
        self._check_idle(stack)
        return stack

    def _moved_parameters(self, stack: Stack, template: dict[str, Any], given: dict[str, str]) -> set[str]:
        values = parameters.resolve(template.get("Parameters", {}), given, self._read_ssm)
        return {name for name, value in values.items() if stack.parameters.get(name) != value}

    def _new(self, name: str, status: str, **settings: Any) -> Stack:
        region, account = self._cloud.region, self._cloud.account
        stack_id = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid.uuid4()}"
        stack = self.stacks[stack_id] = Stack(name=name, stack_id=stack_id, status=status, **settings)
        return stack

    def _take_over(self, stack: Stack, text: str, template: dict[str, Any], given: dict[str, str]) -> None:
        values = parameters.resolve(template.get("Parameters", {}), given, self._read_ssm)
        stack.template_text, stack.template, stack.given, stack.parameters = text, template, given, values

    def _update(self, stack: Stack, text: str, given: dict[str, str], tags: dict[str, str] | None) -> None:
        previous = copy.copy(stack)
        self._take_over(stack, text, parse(text), given)
        stack.tags = stack.tags if tags is None else tags
        stack.updated = now()
        stack.imports = set()
        self._start(stack, lambda changed: self._engine.update(changed, previous), "UPDATE_IN_PROGRESS")

    def _start(self, stack: Stack, work: Any, status: str) -> None:
        stack.set_status(status, "User Initiated")
        self._cloud.spawn(self._work, stack, work, name=f"cloudformation-{stack.name}")

    def _work(self, stack: Stack, work: Any) -> None:
        with stack.lock:
            try:
                work(stack)
            except Exception as error:
                # A fault of the engine itself must not leave a waiter waiting.
                stack.set_status(stack.status.split("_")[0] + "_FAILED", f"internal failure: {error!r}")
                raise

    def _check_idle(self, stack: Stack) -> None:
        if stack.busy:
            raise ValidationError(f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")

    def _import(self, name: str) -> str:
        exports = self.exports()
        if name not in exports:
            raise ValidationError(f"No export named {name} found.")
        return exports[name][1]

    def _read_ssm(self, name: str) -> str:
        try:
            return str(self._cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except ClientError as error:
            raise ValidationError(
                f"Unable to fetch parameters [{name}] from parameter store for this account."
            ) from error


def _change(action: str, name: str, written: dict[str, Any], physical_id: str) -> dict[str, Any]:
    detail = {"Action": action, "LogicalResourceId": name, "ResourceType": written["Type"], "Scope": [], "Details": []}
    if physical_id:
        detail["PhysicalResourceId"] = physical_id
    if action == "Modify":
        detail |= {"Replacement": "Conditional", "Scope": ["Properties"]}
    return {"Type": "Resource", "ResourceChange": detail}
