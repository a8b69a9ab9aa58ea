"""Endpoints: created, updated without a failed request, rolled back, deleted."""

from __future__ import annotations

import itertools
import logging
import threading
from typing import TYPE_CHECKING, Any

from local.sagemaker import models
from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.faults import LAB
from local.sagemaker.fleets import NEVER_HEALTHY, Fleet, NoFleet, Variant
from local.sagemaker.listing import page
from local.sagemaker.records import Record
from local.sagemaker.telemetry import LogStreams

if TYPE_CHECKING:
    from local.cloud import Cloud

log = logging.getLogger(__name__)
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class Endpoint:
    """One endpoint and the servers behind it.

    Args:
        record: what Describe shows.
        logs: its log group.
    """

    def __init__(self, record: Record, logs: LogStreams) -> None:
        self.record, self.logs = record, logs
        self.fleet: Fleet | None = None
        self.pending: Fleet | None = None


class Endpoints:
    """CreateEndpoint, UpdateEndpoint, DeleteEndpoint, DescribeEndpoint, ListEndpoints, weights.

    Changes happen on threads of their own, one at a time for an endpoint.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.live: dict[str, Endpoint] = {}
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._closing = False
        cloud.on_stop(self.close)

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Record the endpoint and bring its servers up."""
        if "DeploymentConfig" in request:
            raise NotEmulated("CreateEndpoint's DeploymentConfig")
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name in backend.endpoints:
            raise Refused(f'Cannot create already existing endpoint "{backend.endpoints[name].arn}".')
        models.find(backend.endpoint_configs, backend, "endpoint-config", config)
        record = models.add(backend.endpoints, backend, "endpoint", name, request)
        record.update(EndpointArn=record.arn, EndpointStatus="Creating")
        group = f"/aws/sagemaker/Endpoints/{name}"
        endpoint = Endpoint(
            record,
            LogStreams(
                account=backend.account_id,
                region=backend.region_name,
                group=group,
                folder=self.cloud.root / "endpoints" / name / "logs",
            ),
        )
        self.live[record.arn] = endpoint
        fleet = self._fleet(backend, endpoint, config)
        self._in_background(self._bring_up, endpoint, fleet, config)
        return {"EndpointArn": record.arn}

    def update(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Bring new servers up, swap, and drain the old; the old go on serving if the new do not come up."""
        _check_update(request)
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        models.find(backend.endpoint_configs, backend, "endpoint-config", request["EndpointConfigName"])
        with record.lock:
            _must_be(record, "update", "InService")
            record.update(EndpointStatus="Updating", FailureReason=None)
        endpoint = self.live[record.arn]
        retained = endpoint.fleet.variants if endpoint.fleet and request.get("RetainAllVariantProperties") else []
        fleet = self._fleet(backend, endpoint, request["EndpointConfigName"], retained)
        self._in_background(self._swap, endpoint, fleet, request["EndpointConfigName"])
        return {"EndpointArn": record.arn}

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Drain the servers and forget the endpoint."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        with record.lock:
            _must_be(record, "update", "InService", "Failed", "OutOfService", "UpdateRollbackFailed")
            record.update(EndpointStatus="Deleting")
        self._in_background(self._take_down, backend, self.live[record.arn])

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the endpoint with its variants as they are now."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        fleet = self.live[record.arn].fleet
        variants = [_describe_variant(variant) for variant in fleet.variants] if fleet else None
        return {**record.describe(), **({"ProductionVariants": variants} if variants else {})}

    def list_endpoints(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        fields = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return page(
            backend.endpoints.values(),
            request,
            key="Endpoints",
            status="EndpointStatus",
            summary=lambda record: {name: record.describe()[name] for name in fields},
        )

    def update_weights(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Shift traffic between variants."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        with record.lock:
            _must_be(record, "update", "InService")
        fleet = self.live[record.arn].fleet
        variants = {variant.name: variant for variant in fleet.variants} if fleet else {}
        for each in request["DesiredWeightsAndCapacities"]:
            if each["VariantName"] not in variants:
                raise Refused(f'The variant name(s) "{each["VariantName"]}" is/are not present within endpoint.')
            if "DesiredInstanceCount" in each:
                raise NotEmulated("UpdateEndpointWeightsAndCapacities with DesiredInstanceCount")
        for each in request["DesiredWeightsAndCapacities"]:
            variants[each["VariantName"]].weight = each.get("DesiredWeight", variants[each["VariantName"]].weight)
        record.update()
        return {"EndpointArn": record.arn}

    def close(self) -> None:
        """Kill every server, because the cloud stops."""
        self._closing = True
        for endpoint in list(self.live.values()):
            for fleet in (endpoint.pending, endpoint.fleet):
                if fleet:
                    fleet.close()
        for thread in self._threads:
            thread.join()

    def _fleet(self, backend: Any, endpoint: Endpoint, config: str, retained: list[Variant] | None = None) -> Fleet:
        def model(name: str) -> dict[str, Any]:
            record = models.find(backend._models, backend, "model", name)
            request = record.request
            definition = request.get("PrimaryContainer") or request["Containers"][0]
            isolated = request.get("EnableNetworkIsolation", False)
            return {**models.resolve_container(backend, definition), "EnableNetworkIsolation": isolated}

        variants = backend.endpoint_configs[config].request["ProductionVariants"]
        fleet = Fleet(
            cloud=self.cloud,
            folder=self.cloud.root / "endpoints" / endpoint.record.name / f"fleet-{next(self._numbers)}",
            variants=[_retain(each, retained or []) for each in variants],
            model=model,
            on_line=endpoint.logs.write,
        )
        endpoint.pending = fleet
        return fleet

    def _bring_up(self, endpoint: Endpoint, fleet: Fleet, config: str) -> None:
        reason = self._start(endpoint, fleet)
        endpoint.pending = None
        if reason:
            endpoint.record.update(EndpointStatus="Failed", FailureReason=reason, EndpointConfigName=config)
        else:
            endpoint.fleet = fleet
            endpoint.record.update(EndpointStatus="InService", EndpointConfigName=config)

    def _swap(self, endpoint: Endpoint, fleet: Fleet, config: str) -> None:
        reason = self._start(endpoint, fleet)
        endpoint.pending = None
        if reason:
            endpoint.record.update(EndpointStatus="InService", FailureReason=reason)
            return
        old, endpoint.fleet = endpoint.fleet, fleet
        if old:
            old.drain()
        endpoint.record.update(EndpointStatus="InService", EndpointConfigName=config)

    def _take_down(self, backend: Any, endpoint: Endpoint) -> None:
        fleet, endpoint.fleet = endpoint.fleet, None
        if fleet:
            fleet.drain()
        del backend.endpoints[endpoint.record.name]
        del self.live[endpoint.record.arn]

    def _start(self, endpoint: Endpoint, fleet: Fleet) -> str:
        """Bring ``fleet`` into service; return why it did not come, or ''."""
        if LAB.take_unhealthy(endpoint.record.name):
            return NEVER_HEALTHY.format(fleet.variants[0].name)
        try:
            fleet.start()
        except (NoFleet, Refused) as error:
            return str(error.message if isinstance(error, Refused) else error)
        except Exception as error:
            log.exception("the laptop cloud failed at an endpoint")
            return f"InternalServerError: the laptop cloud: {error!r}"
        return ""

    def _in_background(self, target: Any, *arguments: Any) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="endpoint")
        self._threads.append(thread)
        thread.start()


def _check_update(request: dict[str, Any]) -> None:
    if request.get("ExcludeRetainedVariantProperties"):
        raise NotEmulated("UpdateEndpoint's ExcludeRetainedVariantProperties")
    deployment = request.get("DeploymentConfig", {})
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}).get("Type")
    if deployment and (routing != "ALL_AT_ONCE" or "AutoRollbackConfiguration" in deployment):
        raise NotEmulated("UpdateEndpoint's DeploymentConfig other than ALL_AT_ONCE without alarms")


def _must_be(record: Record, verb: str, *allowed: str) -> None:
    status = record.get("EndpointStatus")
    if status in allowed:
        return
    if status in BUSY:
        raise Refused(f'Cannot {verb} in-progress endpoint "{record.arn}".')
    raise Refused(f'Cannot {verb} endpoint "{record.arn}" in status {status}; expected {" or ".join(allowed)}.')


def _retain(config: dict[str, Any], retained: list[Variant]) -> dict[str, Any]:
    """Return a variant's configuration with the weight and count of the variant of its name, if there is one."""
    for variant in retained:
        if variant.name == config["VariantName"] and "InitialInstanceCount" in config:
            return {**config, "InitialVariantWeight": variant.weight, "InitialInstanceCount": len(variant.servers)}
    return config


def _describe_variant(variant: Variant) -> dict[str, Any]:
    described: dict[str, Any] = {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
    }
    if "ServerlessConfig" in variant.config:
        serverless = variant.config["ServerlessConfig"]
        return {**described, "CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    count = len(variant.servers)
    return {**described, "CurrentInstanceCount": count, "DesiredInstanceCount": count}
