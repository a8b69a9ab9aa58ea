"""``AWS::StepFunctions::StateMachine`` with all that templates say of it.

AWS (CloudFormation reference): the definition comes as text, as an object or
from S3, ``DefinitionSubstitutions`` fill its ``${names}``, type, logging and
tracing are set, and ``Arn`` is an attribute. moto 5.2.5 reads the text form
only, ignores the rest, and has no ``Arn``. The resource's methods are replaced.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from moto.s3.models import s3_backends
from moto.stepfunctions import models
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.utils import cfn_to_api_tags
from moto.utilities.utils import get_partition

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Replace how templates make, change and describe machines."""
    resource: Any = StateMachine  # bound anew, which its type does not allow for
    resource.create_from_cloudformation_json = classmethod(_create)
    resource.update_from_cloudformation_json = classmethod(_update)
    resource.has_cfn_attr = classmethod(lambda cls, attribute: attribute in _ATTRIBUTES)
    resource.get_cfn_attribute = lambda self, attribute: _ATTRIBUTES[attribute](self)


_ATTRIBUTES = {
    "Arn": lambda machine: machine.arn,
    "Name": lambda machine: machine.name,
    "StateMachineRevisionId": lambda machine: machine.update_date.isoformat(),
}


def _create(
    cls: type[StateMachine], resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
) -> StateMachine:
    properties = cloudformation_json["Properties"]
    backend = models.stepfunctions_backends[account_id][region_name]
    return backend.create_state_machine(
        name=properties.get("StateMachineName", resource_name),
        definition=_definition(properties, account_id, region_name),
        roleArn=properties["RoleArn"],
        tags=cfn_to_api_tags(properties.get("Tags", [])),
        sm_type=properties.get("StateMachineType"),
        **_settings(properties),
    )


def _update(
    cls: type[StateMachine],
    original_resource: StateMachine,
    new_resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
) -> StateMachine:
    properties = cloudformation_json["Properties"]
    backend = models.stepfunctions_backends[account_id][region_name]
    if properties.get("StateMachineName", original_resource.name) != original_resource.name:
        replacement = _create(cls, new_resource_name, cloudformation_json, account_id, region_name)
        backend.delete_state_machine(original_resource.arn)
        return replacement
    settings = _settings(properties)
    machine = backend.update_state_machine(
        original_resource.arn,
        definition=_definition(properties, account_id, region_name),
        role_arn=properties["RoleArn"],
        logging_configuration=settings.get("loggingConfiguration"),
        tracing_configuration=settings.get("tracingConfiguration"),
    )
    backend.tagger.tag_resource(machine.arn, cfn_to_api_tags(properties.get("Tags", [])))
    return machine


def _definition(properties: dict[str, Any], account: str, region: str) -> str:
    if "DefinitionS3Location" in properties:
        place = properties["DefinitionS3Location"]
        backend = s3_backends[account][get_partition(region)]
        stored = backend.get_object(place["Bucket"], place["Key"], version_id=place.get("Version"))
        if stored is None:
            raise ValueError(f"there is no state machine definition at s3://{place['Bucket']}/{place['Key']}")
        text = stored.value.decode()
    elif "Definition" in properties:
        text = json.dumps(properties["Definition"])
    else:
        text = properties["DefinitionString"]
    substitutions = properties.get("DefinitionSubstitutions", {})
    return re.sub(r"\$\{([^}]+)\}", lambda found: str(substitutions.get(found[1], found[0])), text)


def _settings(properties: dict[str, Any]) -> dict[str, Any]:
    """Return logging and tracing in the API's spelling."""
    names = ("LoggingConfiguration", "TracingConfiguration")
    return {_camel(name): _lower(properties[name]) for name in names if name in properties}


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(key): _lower(item) for key, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
