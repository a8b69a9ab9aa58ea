"""AWS::Lambda::*."""

from __future__ import annotations

import io
import uuid
import zipfile

from moto.utilities.utils import load_resource_as_str

from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call

_CONFIGURATION = (
    "Handler", "Role", "Runtime", "Timeout", "MemorySize", "Description", "Environment", "Layers", "DeadLetterConfig",
    "TracingConfig", "EphemeralStorage", "LoggingConfig", "VpcConfig", "SnapStart",
)  # fmt: skip
_DEFAULTS: Properties = {
    "Timeout": 3,
    "MemorySize": 128,
    "Description": "",
    "Environment": {"Variables": {}},
    "Layers": [],
    "DeadLetterConfig": {},
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
}


class Function(Provider):
    """AWS::Lambda::Function."""

    known = frozenset(
        {*_CONFIGURATION, "Code", "FunctionName", "Architectures", "PackageType", "Tags", "KmsKeyArn",
         "ReservedConcurrentExecutions", "RuntimeManagementConfig", "RecursiveLoop"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the function."""
        self.check(properties)
        client = context.client("lambda")
        name = properties.get("FunctionName") or context.name()
        call(
            client,
            "create_function",
            FunctionName=name,
            Code=_code(properties["Code"]),
            Tags=context.all_tags(properties),
            **pick(properties, *_CONFIGURATION, "Architectures", "PackageType"),
            **_key(properties),
        )
        _reserve(context, name, properties)
        return _made(context, name)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update code and configuration; a new name or package type is a new function."""
        if any(old.get(name) != new.get(name) for name in ("FunctionName", "PackageType")):
            return self.create(context, new)
        self.check(new)
        client = context.client("lambda")
        if old["Code"] != new["Code"]:
            call(client, "update_function_code", FunctionName=physical_id, **_code(new["Code"]))
        wanted = {name: new.get(name, _DEFAULTS.get(name)) for name in _CONFIGURATION if new.get(name) != old.get(name)}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if wanted:
            call(client, "update_function_configuration", FunctionName=physical_id, **wanted)
        if context.all_tags(new):
            client.tag_resource(Resource=_arn(context, physical_id), Tags=context.all_tags(new))
        _reserve(context, physical_id, new)
        return _made(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the function with its versions and aliases."""
        context.client("lambda").delete_function(FunctionName=physical_id)


def _arn(context: Context, name: str) -> str:
    return f"arn:aws:lambda:{context.cloud.region}:{context.cloud.account}:function:{name}"


def _made(context: Context, name: str) -> Made:
    return Made(physical_id=name, attributes={"Arn": _arn(context, name)})


def _key(properties: Properties) -> Properties:
    return {"KMSKeyArn": properties["KmsKeyArn"]} if "KmsKeyArn" in properties else {}


def _reserve(context: Context, name: str, properties: Properties) -> None:
    client, wanted = context.client("lambda"), properties.get("ReservedConcurrentExecutions")
    if wanted is not None:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(wanted))
    else:
        client.delete_function_concurrency(FunctionName=name)


def _code(code: Properties) -> Properties:
    """Inline text becomes ``index.py`` beside ``cfnresponse``, as CloudFormation packs it."""
    if "ZipFile" not in code:
        return pick(code, "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", code["ZipFile"])
        archive.writestr("cfnresponse.py", load_resource_as_str("awslambda/resources/cfnresponse.py.txt"))
    return {"ZipFile": packed.getvalue()}


class Permission(Provider):
    """AWS::Lambda::Permission."""

    known = frozenset(
        {"FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "EventSourceToken", "PrincipalOrgID"}
    )

    def create(self, context: Context, properties: Properties) -> Made:
        """Add the statement."""
        self.check(properties)
        statement = context.name(100)
        call(context.client("lambda"), "add_permission", StatementId=statement, **properties)
        return Made(physical_id=statement, attributes={"Id": statement})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Remove the statement."""
        name = properties["FunctionName"]
        context.client("lambda").remove_permission(FunctionName=name, StatementId=physical_id)


class Version(Provider):
    """AWS::Lambda::Version: published once, never changed."""

    known = frozenset({"FunctionName", "Description", "CodeSha256", "RuntimePolicy"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Publish the function as it is now."""
        self.check(properties)
        parameters = pick(properties, "FunctionName", "Description", "CodeSha256")
        made = call(context.client("lambda"), "publish_version", **parameters)
        arn = _arn(context, f"{made['FunctionName']}:{made['Version']}")
        return Made(physical_id=arn, attributes={"Version": made["Version"], "FunctionArn": arn})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the version; it may have gone with its function."""
        name, version = physical_id.split(":")[-2:]
        context.client("lambda").delete_function(FunctionName=name, Qualifier=version)


class Alias(Provider):
    """AWS::Lambda::Alias."""

    known = frozenset({"FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the alias."""
        self.check(properties)
        made = call(context.client("lambda"), "create_alias", **_alias(properties))
        return Made(physical_id=made["AliasArn"], attributes={"AliasArn": made["AliasArn"]})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Point the alias elsewhere; a new name is a new alias."""
        if (old["Name"], old["FunctionName"]) != (new["Name"], new["FunctionName"]):
            return self.create(context, new)
        call(context.client("lambda"), "update_alias", **{"RoutingConfig": {}, **_alias(new)})
        return Made(physical_id=physical_id, attributes={"AliasArn": physical_id})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the alias."""
        name, alias = physical_id.split(":")[-2:]
        context.client("lambda").delete_alias(FunctionName=name, Name=alias)


def _alias(properties: Properties) -> Properties:
    parameters = dict(properties)
    if routing := parameters.pop("RoutingConfig", None):
        weights = routing.get("AdditionalVersionWeights", [])
        weighted = {str(item["FunctionVersion"]): float(item["FunctionWeight"]) for item in weights}
        parameters["RoutingConfig"] = {"AdditionalVersionWeights": weighted}
    return parameters


class EventInvokeConfig(Provider):
    """AWS::Lambda::EventInvokeConfig."""

    known = frozenset(
        {"FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"}
    )

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the configuration."""
        self.check(properties)
        call(context.client("lambda"), "put_function_event_invoke_config", **properties)
        return Made(physical_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{context.stack_id}/{context.logical_id}")))

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the configuration."""
        context.client("lambda").delete_function_event_invoke_config(**pick(properties, "FunctionName", "Qualifier"))


class LayerVersion(Provider):
    """AWS::Lambda::LayerVersion."""

    known = frozenset(
        {"Content", "LayerName", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"}
    )

    def create(self, context: Context, properties: Properties) -> Made:
        """Publish the layer."""
        self.check(properties)
        name = properties.get("LayerName") or context.name()
        made = call(context.client("lambda"), "publish_layer_version", **{**properties, "LayerName": name})
        return Made(physical_id=made["LayerVersionArn"], attributes={"LayerVersionArn": made["LayerVersionArn"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the version."""
        name, version = physical_id.split(":")[-2:]
        context.client("lambda").delete_layer_version(LayerName=name, VersionNumber=int(version))


class EventSourceMapping(Provider):
    """AWS::Lambda::EventSourceMapping."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the mapping."""
        made = call(context.client("lambda"), "create_event_source_mapping", **properties)
        arn = f"arn:aws:lambda:{context.cloud.region}:{context.cloud.account}:event-source-mapping:{made['UUID']}"
        return Made(physical_id=made["UUID"], attributes={"Id": made["UUID"], "EventSourceMappingArn": arn})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the mapping."""
        context.client("lambda").delete_event_source_mapping(UUID=physical_id)


PROVIDERS: dict[str, Provider] = {
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Lambda::Version": Version(),
    "AWS::Lambda::Alias": Alias(),
    "AWS::Lambda::EventInvokeConfig": EventInvokeConfig(),
    "AWS::Lambda::LayerVersion": LayerVersion(),
    "AWS::Lambda::EventSourceMapping": EventSourceMapping(),
}
