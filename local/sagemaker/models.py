"""Models and endpoint configurations: what an endpoint is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.sagemaker import async_requests, containers
from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.listing import page
from local.sagemaker.objects import Location, MissingInput, Objects
from local.sagemaker.records import Record, arn_of

if TYPE_CHECKING:
    from local.cloud import Cloud

SERVERLESS_MEMORY = (1024, 2048, 3072, 4096, 5120, 6144)


def find(records: dict[str, Record], backend: Any, kind: str, name: str) -> Record:
    """Return a record; ValidationException in AWS's words when there is none."""
    if name not in records:
        words = {"endpoint-config": "endpoint configuration"}.get(kind, kind)
        raise Refused(f'Could not find {words} "{arn_of(backend, kind, name)}".')
    return records[name]


def add(records: dict[str, Record], backend: Any, kind: str, name: str, request: dict[str, Any]) -> Record:
    """Record something new; a name that is taken is refused in AWS's words."""
    arn = arn_of(backend, kind, name)
    if name in records:
        words = {"endpoint-config": "endpoint configuration"}.get(kind, kind)
        raise Refused(f'Cannot create already existing {words} "{arn}".')
    records[name] = Record(name=name, arn=arn, request=request)
    return records[name]


class Models:
    """CreateModel, DescribeModel, ListModels, DeleteModel."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the container and record the model."""
        definition = self._container(request)
        for member in ("MultiModelConfig", "InferenceSpecificationName", "ImageConfig", "AdditionalModelDataSources"):
            if member in definition:
                raise NotEmulated(f"a model's {member}")
        if definition.get("Mode", "SingleModel") != "SingleModel":
            raise NotEmulated(f"a model in {definition['Mode']} mode")
        self._check_parts(resolve_container(backend, definition), request["ExecutionRoleArn"])
        record = add(backend._models, backend, "model", request["ModelName"], request)
        record.update(ModelArn=record.arn, EnableNetworkIsolation=request.get("EnableNetworkIsolation", False))
        return {"ModelArn": record.arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the model's description."""
        description = find(backend._models, backend, "model", request["ModelName"]).describe()
        description.pop("LastModifiedTime", None)
        return description

    def list_models(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        return page(
            backend._models.values(),
            request,
            key="Models",
            status="",
            summary=lambda record: {
                "ModelName": record.name,
                "ModelArn": record.arn,
                "CreationTime": record.created,
            },
        )

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Forget the model; endpoints that serve it go on."""
        del backend._models[find(backend._models, backend, "model", request["ModelName"]).name]

    def _container(self, request: dict[str, Any]) -> dict[str, Any]:
        given = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
        if "PrimaryContainer" in request and "Containers" in request:
            raise Refused("PrimaryContainer and Containers cannot be given together")
        if not given:
            raise Refused("A model needs PrimaryContainer or Containers")
        if len(given) > 1:
            raise NotEmulated("an inference pipeline (several Containers)")
        definition: dict[str, Any] = given[0]
        return definition

    def _check_parts(self, definition: dict[str, Any], role: str) -> None:
        try:
            containers.resolve(self.cloud, definition["Image"], role)
        except containers.NoImage as error:
            raise Refused(f"Requested image {definition['Image']} not found: {error}") from error
        if url := definition.get("ModelDataUrl"):
            try:
                location = Location.parse(url)
                if location.key not in Objects(self.cloud.callers.client(role, "s3", "SageMaker")).keys(location):
                    raise Refused(f"Could not find model data at {url}.")
            except MissingInput as error:
                raise Refused(f"Could not find model data at {url}: {error}") from error


def definition(backend: Any, name: str) -> dict[str, Any]:
    """Return a model's container definition with its isolation."""
    request = find(backend._models, backend, "model", name).request
    container = resolve_container(backend, request.get("PrimaryContainer") or request["Containers"][0])
    isolated = request.get("EnableNetworkIsolation", False)
    return {**container, "EnableNetworkIsolation": isolated, "ExecutionRoleArn": request["ExecutionRoleArn"]}


def resolve_container(backend: Any, definition: dict[str, Any]) -> dict[str, Any]:
    """Return Image, ModelDataUrl and Environment of a container definition, from its model package if it names one."""
    if "ModelPackageName" not in definition:
        return _with_model_data(definition)
    package = backend.model_packages.get(definition["ModelPackageName"])
    if package is None:
        raise Refused(f"Could not find model package {definition['ModelPackageName']}")
    specification = package.describe().get("InferenceSpecification", {}).get("Containers", [])
    if len(specification) != 1:
        raise Refused(f"Model package {definition['ModelPackageName']} has no single container to serve")
    merged = {**specification[0], **definition}
    merged["Environment"] = {**specification[0].get("Environment", {}), **definition.get("Environment", {})}
    return _with_model_data(merged)


def _with_model_data(definition: dict[str, Any]) -> dict[str, Any]:
    if "Image" not in definition:
        raise Refused("A container needs Image or ModelPackageName")
    source = definition.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return definition
    if (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
        raise NotEmulated(f"ModelDataSource {source['S3DataType']} with compression {source['CompressionType']}")
    return {**definition, "ModelDataUrl": source["S3Uri"]}


class EndpointConfigs:
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Check the variants and record the configuration."""
        if "ExplainerConfig" in request:
            raise NotEmulated("CreateEndpointConfig's ExplainerConfig")
        variants = [*request["ProductionVariants"], *request.get("ShadowProductionVariants", [])]
        for variant in variants:
            _check_variant(backend, variant)
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise Refused(f"Variant names must be unique: {', '.join(names)}")
        if len({"ServerlessConfig" in variant for variant in variants}) > 1:
            raise Refused("Serverless and instance-based variants cannot be mixed in one endpoint configuration")
        async_requests.check_config(request)
        _check_shadows_and_capture(request)
        name = request["EndpointConfigName"]
        record = add(backend.endpoint_configs, backend, "endpoint-config", name, request)
        record.update(EndpointConfigArn=record.arn)
        return {"EndpointConfigArn": record.arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration."""
        name = request["EndpointConfigName"]
        description = find(backend.endpoint_configs, backend, "endpoint-config", name).describe()
        description.pop("LastModifiedTime", None)
        return description

    def list_configs(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        return page(
            backend.endpoint_configs.values(),
            request,
            key="EndpointConfigs",
            status="",
            summary=lambda record: {
                "EndpointConfigName": record.name,
                "EndpointConfigArn": record.arn,
                "CreationTime": record.created,
            },
        )

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Forget the configuration."""
        name = request["EndpointConfigName"]
        del backend.endpoint_configs[find(backend.endpoint_configs, backend, "endpoint-config", name).name]


def _check_shadows_and_capture(request: dict[str, Any]) -> None:
    serverless = any("ServerlessConfig" in variant for variant in request["ProductionVariants"])
    if shadows := request.get("ShadowProductionVariants", []):
        if (len(request["ProductionVariants"]), len(shadows)) != (1, 1):
            raise Refused("With ShadowProductionVariants there must be exactly one production and one shadow variant")
        if serverless or "AsyncInferenceConfig" in request:
            raise Refused("Shadow variants are not supported for serverless and asynchronous inference")
    if capture := request.get("DataCaptureConfig"):
        if serverless:
            raise Refused("Data capture is not supported for serverless inference")
        try:
            Location.parse(capture["DestinationS3Uri"])
        except MissingInput as error:
            raise Refused(f"DataCaptureConfig.DestinationS3Uri: {error}") from error


def _check_variant(backend: Any, variant: dict[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise NotEmulated(f"variant {name!r} without a model (inference components)")
    model = find(backend._models, backend, "model", variant["ModelName"])
    serverless = variant.get("ServerlessConfig")
    if (serverless is None) == ("InstanceType" not in variant):
        raise Refused(f"Variant {name!r} must have exactly one of InstanceType and ServerlessConfig")
    if serverless is not None:
        if serverless["MemorySizeInMB"] not in SERVERLESS_MEMORY:
            allowed = ", ".join(map(str, SERVERLESS_MEMORY))
            raise Refused(f"MemorySizeInMB {serverless['MemorySizeInMB']} is not allowed; expected one of {allowed}")
        if model.describe().get("EnableNetworkIsolation"):
            raise Refused(f"Variant {name!r}: serverless inference has no network isolation, which its model asks for")
        if "InitialInstanceCount" in variant:
            raise Refused(f"Variant {name!r}: InitialInstanceCount does not go with ServerlessConfig")
    elif variant.get("InitialInstanceCount", 0) < 1:
        raise Refused(f"Variant {name!r}: InitialInstanceCount must be at least 1")
