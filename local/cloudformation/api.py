"""CloudFormation's API: requests to ``CloudFormation``, answers as botocore's model shapes them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.s3.models import s3_backends

from local.cloudformation import describe
from local.cloudformation.errors import ChangeSetNotFound, ValidationError
from local.cloudformation.model import ChangeSet, Stack
from local.cloudformation.resources.custom import answer
from local.cloudformation.service import CloudFormation
from local.cloudformation.template import parse


class Api(BaseResponse):
    """One request. ``service`` is set when the gap is installed."""

    service: CloudFormation

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    @classmethod
    def take_answer(cls, request: Any, full_url: str, headers: Any) -> tuple[int, dict[str, str], str]:
        """Take the answer of a custom resource's function."""
        token = parse_qs(urlparse(full_url).query).get("token", [""])[0]
        return (200 if answer(token, request.get_data()) else 404), {}, ""

    # --- stacks

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        on_failure = self._get_param("OnFailure", "ROLLBACK")
        stack = self.service.create(
            self._get_param("StackName"),
            self._text(),
            self._given(None),
            tags=self._tags() or {},
            role=self._get_param("RoleARN", ""),
            notification_arns=self._get_param("NotificationARNs", []),
            protected=bool(self._get_param("EnableTerminationProtection", False)),
            keep_on_failure=on_failure == "DO_NOTHING" or bool(self._get_param("DisableRollback", False)),
            delete_on_failure=on_failure == "DELETE",
        )
        return ActionResult({"StackId": stack.stack_id})

    def update_stack(self) -> ActionResult:
        """UpdateStack."""
        stack = self._stack()
        stack.keep_on_failure = bool(self._get_param("DisableRollback", False))
        self.service.update(stack, self._text_or_none(), self._given(stack), self._tags())
        return ActionResult({"StackId": stack.stack_id})

    def delete_stack(self) -> ActionResult:
        """DeleteStack; one that does not exist is deleted already."""
        try:
            stack = self._stack()
        except ValidationError:
            return EmptyResult()
        self.service.delete(stack)
        return EmptyResult()

    def describe_stacks(self) -> ActionResult:
        """DescribeStacks."""
        stacks = [self._stack()] if self._get_param("StackName") else self.service.living()
        return ActionResult({"Stacks": [describe.stack(stack) for stack in stacks]})

    def list_stacks(self) -> ActionResult:
        """ListStacks."""
        wanted = self._get_param("StackStatusFilter", [])
        stacks = [stack for stack in self.service.stacks.values() if not wanted or stack.status in wanted]
        return ActionResult({"StackSummaries": [describe.stack(stack) for stack in stacks]})

    def update_termination_protection(self) -> ActionResult:
        """UpdateTerminationProtection."""
        stack = self._stack()
        stack.protected = bool(self._get_param("EnableTerminationProtection"))
        return ActionResult({"StackId": stack.stack_id})

    def get_stack_policy(self) -> ActionResult:
        """GetStackPolicy."""
        return ActionResult({"StackPolicyBody": self._stack().policy or None})

    def set_stack_policy(self) -> ActionResult:
        """SetStackPolicy; it is kept, not enforced."""
        self._stack().policy = self._get_param("StackPolicyBody", "")
        return EmptyResult()

    # --- what is in a stack

    def describe_stack_events(self) -> ActionResult:
        """DescribeStackEvents, newest first."""
        return ActionResult({"StackEvents": list(reversed(self._stack().events))})

    def describe_stack_resource(self) -> ActionResult:
        """DescribeStackResource."""
        stack, name = self._stack(), self._get_param("LogicalResourceId")
        if name not in stack.resources:
            raise ValidationError(f"Resource {name} does not exist for stack {stack.name}")
        detail = describe.resource(stack, stack.resources[name])
        return ActionResult({"StackResourceDetail": {**detail, "LastUpdatedTimestamp": detail["Timestamp"]}})

    def describe_stack_resources(self) -> ActionResult:
        """DescribeStackResources, by stack or by a physical id."""
        physical, name = self._get_param("PhysicalResourceId"), self._get_param("LogicalResourceId")
        stacks = self.service.living() if physical else [self._stack()]
        found = [
            describe.resource(stack, resource)
            for stack in stacks
            for resource in stack.resources.values()
            if physical in (None, resource.physical_id) and name in (None, resource.logical_id)
        ]
        return ActionResult({"StackResources": found})

    def list_stack_resources(self) -> ActionResult:
        """ListStackResources."""
        stack = self._stack()
        found = [describe.resource(stack, resource) for resource in stack.resources.values()]
        return ActionResult(
            {"StackResourceSummaries": [{**item, "LastUpdatedTimestamp": item["Timestamp"]} for item in found]}
        )

    def get_template(self) -> ActionResult:
        """GetTemplate."""
        text = self._stack().template_text
        return ActionResult({"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]})

    def get_template_summary(self) -> ActionResult:
        """GetTemplateSummary."""
        template = self._stack().template if self._get_param("StackName") else parse(self._text())
        declared = [
            {
                "ParameterKey": name,
                "ParameterType": spec.get("Type", "String"),
                "DefaultValue": str(spec["Default"]) if "Default" in spec else None,
                "NoEcho": bool(spec.get("NoEcho", False)),
                "Description": spec.get("Description"),
            }
            for name, spec in template.get("Parameters", {}).items()
        ]
        types = sorted({resource["Type"] for resource in template["Resources"].values()})
        return ActionResult(
            {"Parameters": declared, "ResourceTypes": types, "Description": template.get("Description")}
        )

    def validate_template(self) -> ActionResult:
        """ValidateTemplate."""
        template = parse(self._text())
        declared = [
            {"ParameterKey": name, "DefaultValue": str(spec["Default"]) if "Default" in spec else None}
            for name, spec in template.get("Parameters", {}).items()
        ]
        return ActionResult({"Parameters": declared, "Description": template.get("Description")})

    def list_exports(self) -> ActionResult:
        """ListExports."""
        exports = [
            {"ExportingStackId": stack.stack_id, "Name": name, "Value": value}
            for name, (stack, value) in self.service.exports().items()
        ]
        return ActionResult({"Exports": exports})

    def list_imports(self) -> ActionResult:
        """ListImports."""
        name = self._get_param("ExportName")
        if not (importers := self.service.importers(name)):
            raise ValidationError(f"Export '{name}' is not imported by any stack.")
        return ActionResult({"Imports": importers})

    # --- change sets

    def create_change_set(self) -> ActionResult:
        """CreateChangeSet."""
        kind = self._get_param("ChangeSetType", "UPDATE")
        stack = self._stack() if kind == "UPDATE" else None
        change_set = self.service.create_change_set(
            kind,
            self._get_param("StackName"),
            self._get_param("ChangeSetName"),
            self._text_or_none(),
            self._given(stack),
            tags=self._tags(),
            description=self._get_param("Description", ""),
            on_failure=self._get_param("OnStackFailure", ""),
        )
        return ActionResult({"Id": change_set.arn, "StackId": change_set.stack.stack_id})

    def describe_change_set(self) -> ActionResult:
        """DescribeChangeSet."""
        return ActionResult(describe.change_set(self._change_set()))

    def execute_change_set(self) -> ActionResult:
        """ExecuteChangeSet."""
        keep = bool(self._get_param("DisableRollback", False))
        self.service.execute(self._change_set(), keep_on_failure=keep)
        return EmptyResult()

    def delete_change_set(self) -> ActionResult:
        """DeleteChangeSet; one that does not exist is deleted already."""
        try:
            del self.service.change_sets[self._change_set().arn]
        except ChangeSetNotFound:
            self._stack()  # but its stack must exist
        return EmptyResult()

    def list_change_sets(self) -> ActionResult:
        """ListChangeSets."""
        stack = self._stack()
        summaries = [describe.summary(item) for item in self.service.change_sets.values() if item.stack is stack]
        return ActionResult({"Summaries": summaries})

    # --- parts of requests

    def _stack(self) -> Stack:
        return self.service.find(self._get_param("StackName"))

    def _change_set(self) -> ChangeSet:
        return self.service.find_change_set(self._get_param("ChangeSetName"), self._get_param("StackName"))

    def _text(self) -> str:
        text = self._text_or_none()
        if text is None:
            raise ValidationError("Either Template URL or Template Body must be specified.")
        return text

    def _text_or_none(self) -> str | None:
        """The template's text, or None for the one in use."""
        body, url = self._get_param("TemplateBody"), self._get_param("TemplateURL")
        if body:
            return str(body)
        if url:
            return _read(url, self.current_account)
        if self._get_param("UsePreviousTemplate"):
            return None
        raise ValidationError("Either Template URL or Template Body must be specified.")

    def _given(self, stack: Stack | None) -> dict[str, str]:
        given = {}
        for item in self._get_param("Parameters", []):
            name = item["ParameterKey"]
            if item.get("UsePreviousValue"):
                if stack and name in stack.given:
                    given[name] = stack.given[name]
            else:
                given[name] = item.get("ParameterValue", "")
        return given

    def _tags(self) -> dict[str, str] | None:
        tags = self._get_param("Tags")
        return None if tags is None else {tag["Key"]: tag["Value"] for tag in tags}


def _read(url: str, account: str) -> str:
    """Return the template at an S3 URL, in path style or with the bucket in the host's name."""
    parts = urlparse(url)
    host, path = parts.netloc, unquote(parts.path).lstrip("/")
    if "amazonaws.com" in host and not host.startswith("s3"):
        bucket, key = host.split(".s3", 1)[0], path
    else:
        bucket, key = path.split("/", 1)
    found = s3_backends[account]["aws"].get_object(bucket, key)
    if found is None:
        raise ValidationError(f"S3 error: The specified key does not exist: {url}")
    return bytes(found.value).decode()
