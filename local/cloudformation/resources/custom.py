"""Custom resources and what CloudFormation makes itself.

A custom resource's function is told to create, update or delete, and answers by
an HTTP PUT to a URL it is given
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html).
Every scalar reaches it as text: ``"true"``, ``"5"``.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

from botocore.exceptions import ClientError

from local.cloudformation.errors import ResourceFailed
from local.cloudformation.resources.base import Context, Made, Properties, Provider

DEFAULT_TIMEOUT_S = 3600
_waiting: dict[str, _Answer] = {}


class _Answer:
    """One answer that is waited for."""

    def __init__(self) -> None:
        self.given = threading.Event()
        self.body: dict[str, Any] = {}


def answer(token: str, body: bytes) -> bool:
    """Take a function's answer; return whether anybody waited for it."""
    waiting = _waiting.get(token)
    if waiting is None:
        return False
    waiting.body = json.loads(body)
    waiting.given.set()
    return True


def as_texts(value: Any) -> Any:
    """Return ``value`` with every scalar as CloudFormation's text of it."""
    if isinstance(value, dict):
        return {key: as_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_texts(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


class CustomResource(Provider):
    """Custom::* and AWS::CloudFormation::CustomResource."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Have the function create it; return when it has answered."""
        return self._ask(context, "Create", properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Have the function update it; another physical id means that it replaced it."""
        extra = {"PhysicalResourceId": physical_id, "OldResourceProperties": as_texts(old)}
        return self._ask(context, "Update", new, **extra)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Have the function delete it."""
        self._ask(context, "Delete", properties, PhysicalResourceId=physical_id)

    def _ask(self, context: Context, kind: str, properties: Properties, **extra: Any) -> Made:
        token = uuid.uuid4().hex
        request = {
            "RequestType": kind,
            "ServiceToken": properties["ServiceToken"],
            "ResponseURL": f"{context.cloud.url}/cloudformation_{context.cloud.region}/cfnresponse?token={token}",
            "StackId": context.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": context.logical_id,
            "ResourceType": context.kind,
            "ResourceProperties": as_texts(properties),
            **extra,
        }
        waiting = _waiting[token] = _Answer()
        try:
            context.cloud.spawn(_invoke, context, request, waiting, name=f"custom-{context.logical_id}")
            if not waiting.given.wait(float(properties.get("ServiceTimeout", DEFAULT_TIMEOUT_S))):
                raise ResourceFailed("CloudFormation did not receive a response from your Custom Resource.")
        finally:
            del _waiting[token]
        return _made(waiting.body, extra.get("PhysicalResourceId", ""))


def _invoke(context: Context, request: dict[str, Any], waiting: _Answer) -> None:
    """Run the function; one that fails without an answer is an answer too (AWS would wait for the time-out)."""
    payload = json.dumps(request).encode()
    try:
        result = context.client("lambda").invoke(FunctionName=request["ServiceToken"], Payload=payload)
        failure = result["Payload"].read().decode() if "FunctionError" in result else ""
    except ClientError as error:
        failure = str(error)
    if failure and not waiting.given.is_set():
        waiting.body = {"Status": "FAILED", "Reason": f"the function failed before it answered: {failure}"}
        waiting.given.set()


def _made(body: dict[str, Any], physical_id: str) -> Made:
    if body.get("Status") != "SUCCESS":
        raise ResourceFailed(f"Received response status [FAILED] from custom resource. Message: {body.get('Reason')}")
    return Made(physical_id=body.get("PhysicalResourceId") or physical_id, attributes=body.get("Data") or {})


class WaitConditionHandle(Provider):
    """AWS::CloudFormation::WaitConditionHandle; CDK uses it as an empty stack's only resource."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Make a URL that nobody has to call."""
        return Made(physical_id=f"{context.cloud.url}/wait/{uuid.uuid4()}")

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Forget the URL."""


class NestedStack(Provider):
    """AWS::CloudFormation::Stack."""

    known = frozenset({"TemplateURL", "Parameters", "Tags", "NotificationARNs", "TimeoutInMinutes"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the stack and wait for it."""
        self.check(properties)
        client = context.client("cloudformation")
        made = client.create_stack(StackName=context.name(128), **_nested(context, properties))
        return _nested_made(context, made["StackId"])

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update the stack and wait for it."""
        self.check(new)
        client = context.client("cloudformation")
        try:
            client.update_stack(StackName=physical_id, **_nested(context, new))
        except client.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
        return _nested_made(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the stack and wait for it."""
        client = context.client("cloudformation")
        client.delete_stack(StackName=physical_id)
        client.get_waiter("stack_delete_complete").wait(StackName=physical_id, WaiterConfig={"Delay": 1})


def _nested(context: Context, properties: Properties) -> Properties:
    given = [
        {"ParameterKey": key, "ParameterValue": str(value)} for key, value in properties.get("Parameters", {}).items()
    ]
    return {"TemplateURL": properties["TemplateURL"], "Parameters": given, "Tags": context.tag_list(properties)}


def _nested_made(context: Context, stack_id: str) -> Made:
    client = context.client("cloudformation")
    while (stack := client.describe_stacks(StackName=stack_id)["Stacks"][0])["StackStatus"].endswith("_IN_PROGRESS"):
        context.cloud.stopping.wait(0.2)
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reason = stack.get("StackStatusReason", stack["StackStatus"])
        raise ResourceFailed(f"Embedded stack {stack_id} was not successfully created: {reason}")
    outputs = {f"Outputs.{item['OutputKey']}": item["OutputValue"] for item in stack.get("Outputs", [])}
    return Made(physical_id=stack_id, attributes=outputs)


PROVIDERS: dict[str, Provider] = {
    "AWS::CloudFormation::CustomResource": CustomResource(),
    "AWS::CloudFormation::WaitConditionHandle": WaitConditionHandle(),
    "AWS::CloudFormation::Stack": NestedStack(),
}
