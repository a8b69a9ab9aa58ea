"""AWS::ApiGateway::*, of REST APIs."""

from __future__ import annotations

from typing import Any

from local.cloudformation.resources.base import Context, Made, Properties, Provider, lower_first, pick
from local.cloudformation.resources.calls import call

THROTTLES = {"ThrottlingRateLimit": "throttling/rateLimit", "ThrottlingBurstLimit": "throttling/burstLimit"}
NOT_KEPT = ("DataTraceEnabled", "MetricsEnabled", "LoggingLevel", "HttpMethod", "ResourcePath")


class RestApi(Provider):
    """AWS::ApiGateway::RestApi, made of resources and methods."""

    known = frozenset(
        {"Name", "Description", "BinaryMediaTypes", "EndpointConfiguration", "ApiKeySourceType", "FailOnWarnings",
         "DisableExecuteApiEndpoint", "MinimumCompressionSize", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the API."""
        self.check(properties)
        settings = pick(properties, "Name", "Description", "BinaryMediaTypes", "MinimumCompressionSize")
        parameters = lower_first(settings) | {"tags": context.all_tags(properties)}
        if "EndpointConfiguration" in properties:
            parameters["endpointConfiguration"] = lower_first(properties["EndpointConfiguration"])
        if "ApiKeySourceType" in properties:
            parameters["apiKeySource"] = properties["ApiKeySourceType"]
        if "DisableExecuteApiEndpoint" in properties:
            parameters["disableExecuteApiEndpoint"] = properties["DisableExecuteApiEndpoint"]
        made = call(context.client("apigateway"), "create_rest_api", **parameters)
        return _api(context, made["id"])

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update name, description and binary media types; any other change is another API."""
        changed = {name for name in self.known if old.get(name) != new.get(name)}
        if changed - {"Name", "Description", "BinaryMediaTypes", "Tags"}:
            return self.create(context, new)
        self.check(new)
        patches = [_replace(f"/{name.lower()}", new.get(name, "")) for name in ("Name", "Description")]
        before, after = (set(each.get("BinaryMediaTypes", ())) for each in (old, new))
        for verb, kinds in (("remove", before - after), ("add", after - before)):
            patches += [{"op": verb, "path": f"/binaryMediaTypes/{kind.replace('/', '~1')}"} for kind in sorted(kinds)]
        context.client("apigateway").update_rest_api(restApiId=physical_id, patchOperations=patches)
        return _api(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the API with everything in it."""
        context.client("apigateway").delete_rest_api(restApiId=physical_id)


def _api(context: Context, api: str) -> Made:
    resources = context.client("apigateway").get_resources(restApiId=api)["items"]
    (root,) = [resource["id"] for resource in resources if resource["path"] == "/"]
    return Made(physical_id=api, attributes={"RootResourceId": root, "RestApiId": api})


def _replace(path: str, value: Any) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": str(value).lower() if isinstance(value, bool) else str(value)}


class Resource(Provider):
    """AWS::ApiGateway::Resource: one part of a path."""

    known = frozenset({"ParentId", "PathPart", "RestApiId"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the resource."""
        self.check(properties)
        made = call(context.client("apigateway"), "create_resource", **lower_first(properties))
        return Made(physical_id=made["id"], attributes={"ResourceId": made["id"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the resource; it may have gone with its API."""
        context.client("apigateway").delete_resource(restApiId=properties["RestApiId"], resourceId=physical_id)


class Method(Provider):
    """AWS::ApiGateway::Method with its integration."""

    known = frozenset(
        {"ApiKeyRequired", "AuthorizationType", "HttpMethod", "Integration", "ResourceId", "RestApiId",
         "OperationName", "RequestParameters"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the method, then its integration."""
        self.check(properties)
        client, where = context.client("apigateway"), _method(properties)
        settings = pick(properties, "ApiKeyRequired", "AuthorizationType", "OperationName", "RequestParameters")
        call(client, "put_method", **where, **lower_first(settings))
        if integration := dict(properties.get("Integration") or {}):
            verb = {"integrationHttpMethod": integration.pop("IntegrationHttpMethod")}
            call(client, "put_integration", **where, **verb, **lower_first(integration))
        return Made(physical_id=context.name())

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put it anew; a method of another path or verb is another one."""
        if _method(old) != _method(new):
            return self.create(context, new)
        self.delete(context, physical_id, old)
        self.create(context, new)
        return Made(physical_id=physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the method; it may have gone with its API."""
        context.client("apigateway").delete_method(**_method(properties))


def _method(properties: Properties) -> dict[str, Any]:
    return lower_first(pick(properties, "RestApiId", "ResourceId", "HttpMethod"))


class Deployment(Provider):
    """AWS::ApiGateway::Deployment: the API as it is now, never changed."""

    known = frozenset({"RestApiId", "Description"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Deploy."""
        self.check(properties)
        made = call(context.client("apigateway"), "create_deployment", **lower_first(properties))
        return Made(physical_id=made["id"], attributes={"DeploymentId": made["id"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the deployment; it may have gone with its API."""
        context.client("apigateway").delete_deployment(restApiId=properties["RestApiId"], deploymentId=physical_id)


class Stage(Provider):
    """AWS::ApiGateway::Stage."""

    known = frozenset(
        {"RestApiId", "StageName", "DeploymentId", "Description", "MethodSettings", "TracingEnabled", "Variables",
         "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the stage, then set the limits of its methods."""
        self.check(properties)
        client = context.client("apigateway")
        settings = pick(properties, "RestApiId", "StageName", "DeploymentId", "Description", "TracingEnabled")
        variables = {"variables": properties["Variables"]} if "Variables" in properties else {}
        tags = {"tags": context.all_tags(properties)}
        call(client, "create_stage", **lower_first(settings), **variables, **tags)
        return self._set(context, properties, _limits(properties))

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Point the stage at another deployment and set limits; a new name is a new stage."""
        same = ("RestApiId", "StageName", "Variables")
        if any(old.get(name) != new.get(name) for name in same):
            return self.create(context, new)
        self.check(new)
        patches = [_replace("/deploymentId", new["DeploymentId"]), _replace("/description", new.get("Description", ""))]
        return self._set(context, new, [*patches, *_limits(new)])

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the stage; it may have gone with its API."""
        context.client("apigateway").delete_stage(restApiId=properties["RestApiId"], stageName=physical_id)

    def _set(self, context: Context, properties: Properties, patches: list[dict[str, str]]) -> Made:
        name = str(properties["StageName"])
        if patches:
            client = context.client("apigateway")
            client.update_stage(restApiId=properties["RestApiId"], stageName=name, patchOperations=patches)
        return Made(physical_id=name)


def _limits(properties: Properties) -> list[dict[str, str]]:
    """Return the patches of MethodSettings, whose path of all is ``/*`` and whose verb of all is ``*``."""
    patches = []
    for setting in properties.get("MethodSettings") or []:
        unknown = sorted(set(setting) - set(THROTTLES) - set(NOT_KEPT))
        if unknown:
            raise ValueError(f"not emulated by the laptop cloud: {', '.join(unknown)}")
        where = f"{setting['ResourcePath']}/{setting['HttpMethod']}"
        patches += [_replace(f"{where}/{path}", setting[name]) for name, path in THROTTLES.items() if name in setting]
    return patches


class GatewayResponse(Provider):
    """AWS::ApiGateway::GatewayResponse."""

    known = frozenset({"RestApiId", "ResponseType", "StatusCode", "ResponseParameters", "ResponseTemplates"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the response."""
        self.check(properties)
        parameters = {name[:1].lower() + name[1:]: value for name, value in properties.items()}
        call(context.client("apigateway"), "put_gateway_response", **parameters)
        return Made(physical_id=context.name(), attributes={"Id": properties["ResponseType"]})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put it anew; one of another type is another one."""
        made = self.create(context, new)
        same = all(old[name] == new[name] for name in ("RestApiId", "ResponseType"))
        return Made(physical_id=physical_id, attributes=made.attributes) if same else made

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the response; it may have gone with its API."""
        where = {"restApiId": properties["RestApiId"], "responseType": properties["ResponseType"]}
        context.client("apigateway").delete_gateway_response(**where)


PROVIDERS: dict[str, Provider] = {
    "AWS::ApiGateway::RestApi": RestApi(),
    "AWS::ApiGateway::Resource": Resource(),
    "AWS::ApiGateway::Method": Method(),
    "AWS::ApiGateway::Deployment": Deployment(),
    "AWS::ApiGateway::Stage": Stage(),
    "AWS::ApiGateway::GatewayResponse": GatewayResponse(),
}
