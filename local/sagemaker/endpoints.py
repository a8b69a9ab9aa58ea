"""Endpoints: created, updated without a failed request, rolled back, deleted."""

from __future__ import annotations

import functools
import itertools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local import scaling
from local.chaos.faults import UnhealthyEndpoint
from local.chaos.lab import LAB
from local.permissions import platform
from local.sagemaker import endpoint_changes, endpoint_view, models
from local.sagemaker.async_queue import Backlog, Queue
from local.sagemaker.errors import Refused
from local.sagemaker.fleets import NEVER_HEALTHY, Fleet, NoFleet
from local.sagemaker.listing import page
from local.sagemaker.meters import Load
from local.sagemaker.records import Record
from local.sagemaker.rollout_policy import Policy, policy_of
from local.sagemaker.rollouts import Alarms, Rolling, Rollout
from local.sagemaker.telemetry import LogStreams
from local.sagemaker.traffic import Traffic

if TYPE_CHECKING:
    from local.cloud import Cloud

LOGS = "/aws/sagemaker/Endpoints/"  # the log groups of endpoints begin so
log = logging.getLogger(__name__)


class Endpoint:
    """One endpoint and the servers behind it.

    Args:
        record: what Describe shows.
        logs: its log group.
    """

    def __init__(self, record: Record, logs: LogStreams) -> None:
        self.record, self.logs, self.traffic, self.queue = record, logs, Traffic(), Queue()
        self.fleet: Fleet | None = None
        self.pending: Fleet | None = None
        self.rollout: Rollout | None = None


class Endpoints:
    """CreateEndpoint, UpdateEndpoint, DeleteEndpoint, DescribeEndpoint, ListEndpoints, weights.

    Changes happen on threads of their own, one at a time for an endpoint.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.live: dict[str, Endpoint] = {}
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        cloud.on_stop(self.close)

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Record the endpoint and bring its servers up."""
        name, deployment = request["EndpointName"], request.get("DeploymentConfig")
        if name in backend.endpoints:
            raise Refused(f'Cannot create already existing endpoint "{backend.endpoints[name].arn}".')
        config = models.find(backend.endpoint_configs, backend, "endpoint-config", request["EndpointConfigName"])
        variants = config.request["ProductionVariants"]
        self._policy(deployment or {}, variants, variants)
        given = {key: value for key, value in request.items() if key != "DeploymentConfig"}
        record = models.add(backend.endpoints, backend, "endpoint", name, given)
        record.update(EndpointArn=record.arn, EndpointStatus="Creating", LastDeploymentConfig=deployment)
        group = f"{LOGS}{name}"
        role = models.definition(backend, variants[0]["ModelName"])["ExecutionRoleArn"]
        endpoint = Endpoint(
            record,
            LogStreams(
                stream=lambda name: platform.log_stream(self.cloud, role, "SageMaker", group, name, described=True),
                folder=self.cloud.root / "endpoints" / name / "logs",
            ),
        )
        self.live[record.arn] = endpoint
        fleet = self._fleet(backend, endpoint, config.name, config.request)
        self._in_background(self._bring_up, endpoint, fleet)
        return {"EndpointArn": record.arn}

    def update(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Bring new servers up and move the traffic to them; the old go on serving if that fails."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        config = models.find(backend.endpoint_configs, backend, "endpoint-config", request["EndpointConfigName"])
        endpoint = self.live[record.arn]
        with record.lock:
            endpoint_changes.must_be(record, "update", "InService")
            assert endpoint.fleet is not None  # it is in service
            deployment = endpoint_changes.deployment_config(record, request)
            wanted = endpoint_changes.retain(config.request, endpoint.fleet, request)
            endpoint_changes.check_kind(endpoint.fleet, wanted)
            old = [variant.config for variant in endpoint.fleet.variants]
            endpoint_changes.check_scaled(scaling.scaled_variants(self.cloud, record.name), old, wanted)
            policy = self._policy(deployment, old, wanted["ProductionVariants"])
            last = {"LastDeploymentConfig": deployment} if deployment else {}
            record.update(EndpointStatus="Updating", FailureReason=None, **last)
        fleet = self._fleet(backend, endpoint, config.name, wanted)
        kind = Rolling if policy.batches else Rollout
        endpoint.rollout = kind(
            cloud=self.cloud,
            traffic=endpoint.traffic,
            blue=endpoint.fleet,
            green=fleet,
            policy=policy,
            stopping=self._stopping,
        )
        self._in_background(self._roll_out, endpoint, endpoint.rollout)
        return {"EndpointArn": record.arn}

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Drain the servers and forget the endpoint."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        with record.lock:
            endpoint_changes.must_be(record, "update", "InService", "Failed", "OutOfService", "UpdateRollbackFailed")
            record.update(EndpointStatus="Deleting")
        self._in_background(self._take_down, backend, self.live[record.arn])

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the endpoint with its variants as they are now, and those of an update on its way."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        endpoint = self.live[record.arn]
        return {
            **record.describe(),
            **endpoint_view.of_fleet(endpoint.fleet),
            **endpoint_view.of_rollout(endpoint.rollout),
        }

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
        """Shift traffic between variants at once; bring instances up or let them go in the background."""
        record = models.find(backend.endpoints, backend, "endpoint", request["EndpointName"])
        endpoint = self.live[record.arn]
        with record.lock:
            endpoint_changes.must_be(record, "update", "InService")
            assert endpoint.fleet is not None  # it is in service
            counts = endpoint_changes.apply_weights(endpoint.fleet, request["DesiredWeightsAndCapacities"])
            record.update(**({"EndpointStatus": "Updating", "FailureReason": None} if counts else {}))
        if counts:
            self._in_background(self._scale, endpoint, endpoint.fleet, counts)
        return {"EndpointArn": record.arn}

    def loads(self) -> list[Load]:
        """Return how many requests each instance of each variant is answering."""
        fleets = [(endpoint.record.name, endpoint.fleet) for endpoint in list(self.live.values())]
        return [
            Load(name, fleet.config, variant.name, variant.in_flight / max(1, len(variant.servers)))
            for name, fleet in fleets
            if fleet is not None and not fleet.asynchronous
            for variant in fleet.all_variants
        ]

    def backlogs(self) -> list[Backlog]:
        """Return how the queues of asynchronous endpoints are."""
        fleets = [(endpoint, endpoint.fleet) for endpoint in list(self.live.values())]
        return [
            endpoint.queue.backlog(endpoint.record.name, sum(len(variant.servers) for variant in fleet.variants))
            for endpoint, fleet in fleets
            if fleet is not None and fleet.asynchronous
        ]

    def close(self) -> None:
        """Kill every server, because the cloud stops."""
        self._stopping.set()
        for endpoint in list(self.live.values()):
            endpoint.queue.close()
            for fleet in (endpoint.pending, endpoint.fleet):
                if fleet:
                    fleet.close()
        for thread in self._threads:
            thread.join()

    def _policy(self, deployment: dict[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Policy:
        policy = policy_of(deployment, old, new)
        if missing := Alarms(self.cloud, policy.alarms).missing:
            raise Refused(f"Could not find CloudWatch alarm {', '.join(missing)}")
        return policy

    def _fleet(self, backend: Any, endpoint: Endpoint, config: str, wanted: dict[str, Any]) -> Fleet:
        fleet = Fleet(
            cloud=self.cloud,
            config=config,
            folder=self.cloud.root / "endpoints" / endpoint.record.name / f"fleet-{next(self._numbers)}",
            variants=wanted["ProductionVariants"],
            shadows=wanted.get("ShadowProductionVariants", []),
            capture=wanted.get("DataCaptureConfig", {}),
            asynchronous=wanted.get("AsyncInferenceConfig", {}),
            model=functools.partial(models.definition, backend),
            on_line=endpoint.logs.write,
        )
        endpoint.pending = fleet
        return fleet

    def _bring_up(self, endpoint: Endpoint, fleet: Fleet) -> None:
        reason = self._come_up(endpoint, fleet.start)
        endpoint.pending = None
        if reason:
            endpoint.record.update(EndpointStatus="Failed", FailureReason=reason)
        else:
            endpoint.fleet = fleet
            endpoint.traffic.send_to((fleet, 1.0))
            endpoint.record.update(EndpointStatus="InService")

    def _roll_out(self, endpoint: Endpoint, rollout: Rollout) -> None:
        """Update an endpoint; whatever happens, some fleet goes on answering."""
        outcome: dict[str, Any] = {"EndpointStatus": "InService"}
        left: Fleet | None = None
        if failure := self._come_up(endpoint, rollout.start):
            outcome["FailureReason"] = failure
        elif reason := _attempt(rollout.shift):
            endpoint.record.update(EndpointStatus="RollingBack", FailureReason=reason)
            if failure := _attempt(rollout.back):
                outcome |= {"EndpointStatus": "UpdateRollbackFailed", "FailureReason": f"{reason}. {failure}"}
                left = rollout.green  # it serves beside the old one
        else:
            endpoint.fleet = rollout.green
            rollout.finish()
            outcome["EndpointConfigName"] = rollout.green.config
        endpoint.rollout, endpoint.pending = None, left
        endpoint.record.update(**outcome)

    def _scale(self, endpoint: Endpoint, fleet: Fleet, counts: dict[str, int]) -> None:
        variants = {variant.name: variant for variant in fleet.all_variants}
        failures = [_attempt(functools.partial(fleet.scale, variants[name], count)) for name, count in counts.items()]
        reason = "; ".join(filter(None, failures)) or None
        endpoint.record.update(EndpointStatus="InService", FailureReason=reason)

    def _take_down(self, backend: Any, endpoint: Endpoint) -> None:
        fleets = [fleet for fleet in (endpoint.fleet, endpoint.pending) if fleet]
        endpoint.traffic.send_to()
        endpoint.queue.close()
        endpoint.fleet = endpoint.pending = None
        for fleet in fleets:
            fleet.drain()
        scaling.forget(self.cloud, endpoint.record.name)
        del backend.endpoints[endpoint.record.name]
        del self.live[endpoint.record.arn]

    def _come_up(self, endpoint: Endpoint, start: Callable[[], None]) -> str:
        """Bring the pending servers into service; return why they did not come, or ''."""
        if LAB.take(UnhealthyEndpoint, endpoint=endpoint.record.name):
            return NEVER_HEALTHY.format(endpoint.pending.variants[0].name if endpoint.pending else "")
        return _attempt(start)

    def _in_background(self, target: Any, *arguments: Any) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="endpoint")
        self._threads.append(thread)
        thread.start()


def _attempt(work: Callable[[], str | None]) -> str:
    """Do ``work``; return why it failed, in its own words or those of its error, or ''."""
    try:
        return work() or ""
    except (NoFleet, Refused) as error:
        return str(error.message if isinstance(error, Refused) else error)
    except Exception as error:
        log.exception("the laptop cloud failed at an endpoint")
        return f"InternalServerError: the laptop cloud: {error!r}"
