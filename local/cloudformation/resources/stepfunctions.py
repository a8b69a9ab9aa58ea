"""AWS::StepFunctions::*."""

from __future__ import annotations

import json
import re

from local.cloudformation.errors import ResourceFailed
from local.cloudformation.resources.base import Context, Made, Properties, Provider, lower_first, pick
from local.cloudformation.resources.calls import call

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


class StateMachine(Provider):
    """AWS::StepFunctions::StateMachine."""

    known = frozenset(
        {"StateMachineName", "StateMachineType", "RoleArn", "Definition", "DefinitionString", "DefinitionS3Location",
         "DefinitionSubstitutions", "LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the state machine from its definition, wherever that is written."""
        self.check(properties)
        name = properties.get("StateMachineName") or context.name(80)
        tags = [{"key": tag["Key"], "value": tag["Value"]} for tag in context.tag_list(properties)]
        arn = call(
            context.client("stepfunctions"),
            "create_state_machine",
            name=name,
            type=properties.get("StateMachineType", "STANDARD"),
            tags=tags,
            **_settings(context, properties),
        )["stateMachineArn"]
        return _made(arn)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update definition, role and settings; a new name or type is a new machine."""
        if any(old.get(name) != new.get(name) for name in ("StateMachineName", "StateMachineType")):
            return self.create(context, new)
        self.check(new)
        settings = _settings(context, new)
        call(context.client("stepfunctions"), "update_state_machine", stateMachineArn=physical_id, **settings)
        return _made(physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the state machine."""
        context.client("stepfunctions").delete_state_machine(stateMachineArn=physical_id)


def _made(arn: str) -> Made:
    attributes = {"Arn": arn, "Name": arn.rsplit(":", 1)[1], "StateMachineRevisionId": "INITIAL"}
    return Made(physical_id=arn, attributes=attributes)


def _settings(context: Context, properties: Properties) -> Properties:
    settings = lower_first(
        pick(properties, "RoleArn", "LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration")
    )
    return {**settings, "definition": _definition(context, properties)}


def _definition(context: Context, properties: Properties) -> str:
    if "DefinitionString" in properties:
        text = properties["DefinitionString"]
    elif "Definition" in properties:
        text = json.dumps(properties["Definition"])
    elif "DefinitionS3Location" in properties:
        where = properties["DefinitionS3Location"]
        version = {"VersionId": where["Version"]} if "Version" in where else {}
        found = context.client("s3").get_object(Bucket=where["Bucket"], Key=where["Key"], **version)
        text = found["Body"].read().decode()
    else:
        raise ResourceFailed("one of Definition, DefinitionString and DefinitionS3Location must be given")
    values = properties.get("DefinitionSubstitutions", {})
    return _SUBSTITUTION.sub(lambda match: str(values.get(match[1], match[0])), text)


class StateMachineVersion(Provider):
    """AWS::StepFunctions::StateMachineVersion."""

    known = frozenset({"StateMachineArn", "StateMachineRevisionId", "Description"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Publish the machine as it is now."""
        self.check(properties)
        parameters = {"stateMachineArn": properties["StateMachineArn"], **lower_first(pick(properties, "Description"))}
        made = call(context.client("stepfunctions"), "publish_state_machine_version", **parameters)
        return Made(physical_id=made["stateMachineVersionArn"], attributes={"Arn": made["stateMachineVersionArn"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the version."""
        context.client("stepfunctions").delete_state_machine_version(stateMachineVersionArn=physical_id)


PROVIDERS: dict[str, Provider] = {
    "AWS::StepFunctions::StateMachine": StateMachine(),
    "AWS::StepFunctions::StateMachineVersion": StateMachineVersion(),
}
