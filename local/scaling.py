"""Application Auto Scaling of SageMaker variants: policies and scheduled actions that are carried out.

As on AWS a target tracking policy is two CloudWatch alarms, which it makes itself: above the target it scales out, well
below it in. A variant that gets no request sends no metric, so it is not scaled in (AWS says so of its own). Waits
follow the cloud's clock; ``at`` and ``cron`` are times of day and do not.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.sagemaker.models import sagemaker_backends

from local import schedules
from local.alarms import period_of, real_period
from local.metrics import Metrics
from local.scaling_rules import CALM, DEFAULT_COOLDOWN, Tracked, by_steps, by_tracking, tracked

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS, SHORTEST_LOOK = 10.0, 0.1  # of the clock; real seconds
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Since:
    """When a variant was scaled last, by the real clock."""

    out: float = field(default=-1e9)
    inward: float = field(default=-1e9)


class Scaler:
    """Carries out what was registered, while the cloud runs.

    Args:
        cloud: whose endpoints.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._backend = applicationautoscaling_backends[cloud.account][cloud.region]
        self._alarms = cloudwatch_backends[cloud.account][cloud.region]
        self._metrics = Metrics(self._alarms)
        self._since: dict[str, Since] = {}
        self._looked = datetime.now(UTC)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="scaling")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()
        self.cloud.on_stop(self._thread.join)

    def look(self) -> None:
        """Carry out what is due."""
        self._metrics.refresh()
        before, self._looked = self._looked, datetime.now(UTC)
        for target in list(self._backend.targets.get(DIMENSION, {}).values()):
            self._run_schedules(target, before)
            self._scale(target)

    def _watch(self) -> None:
        wait = max(self.cloud.clock.seconds(LOOK_SECONDS), SHORTEST_LOOK)
        while not self.cloud.stopping.wait(wait):
            try:
                self.look()
            except Exception:
                if not self.cloud.stopping.is_set():
                    log.exception("the laptop cloud failed at scaling")

    def _run_schedules(self, target: Any, before: datetime) -> None:
        actions: list[Any] = list(self._backend.scheduled_actions)
        for action in actions:
            if not _is_of(action, target):
                continue
            if _suspended(target, "ScheduledScalingSuspended") or not self._is_due(action, before):
                continue
            wanted: dict[str, int] = dict(action.scalable_target_action or {})
            target.update(wanted.get("MinCapacity"), wanted.get("MaxCapacity"), None)
            log.info("scheduled action %s: %s", action.scheduled_action_name, wanted)

    def _is_due(self, action: Any, before: datetime) -> bool:
        fires = schedules.times(action.schedule, action.timezone or "UTC")
        made = datetime.fromtimestamp(action.creation_time, UTC)
        if action.schedule.startswith("rate"):  # a wait, which follows the clock; times of day do not
            scale = self.cloud.clock.scale
            return fires(made, made + (before - made) / scale, made + (self._looked - made) / scale)
        start, end = (_moment(each) for each in (action.start_time, action.end_time))
        if (start and self._looked < start) or (end and self._looked > end):
            return False
        return fires(made, before, self._looked)

    def _scale(self, target: Any) -> None:
        current = self._current(target.resource_id)
        if current is None:
            return
        since = self._since.setdefault(target.arn, Since())
        wanted = min(max(self._wanted(target, current, since), int(target.min_capacity)), int(target.max_capacity))
        if wanted != current and self._set(target.resource_id, wanted):
            moment = time.monotonic()
            since.out, since.inward = (moment, since.inward) if wanted > current else (since.out, moment)

    def _wanted(self, target: Any, current: int, since: Since) -> int:
        """Return the instances that the policies want: the most that one asks for, and fewer only if none objects."""
        policies = [each for each in list(self._backend.policies.values()) if _is_of(each, target)]
        wishes = [wish for each in policies if (wish := self._wish(target, each, current, since)) is not None]
        tracking = sum(each.policy_type == "TargetTrackingScaling" for each in policies)
        if any(wish > current for wish in wishes):
            return max(wishes)
        return max(wishes) if wishes and len(wishes) >= tracking else current

    def _wish(self, target: Any, policy: Any, current: int, since: Since) -> int | None:
        """Return how many instances a policy wants; None when it wants no change, or may not yet have one."""
        tracking = policy.target_tracking_scaling_policy_configuration
        wish = self._tracking(policy, current) if tracking else self._stepping(policy, current)
        if wish is None or wish == current:
            return None
        config = tracking or policy.step_scaling_policy_configuration
        return wish if self._may(target, config, since, out=wish > current) else None

    def _may(self, target: Any, config: dict[str, Any], since: Since, *, out: bool) -> bool:
        """Say whether neither a cooldown nor a suspension keeps a policy from scaling."""
        common = config.get("Cooldown", DEFAULT_COOLDOWN)
        name, last = ("ScaleOutCooldown", since.out) if out else ("ScaleInCooldown", max(since.inward, since.out))
        if not out and config.get("DisableScaleIn"):
            return False
        if _suspended(target, "DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended"):
            return False
        return time.monotonic() - last >= self.cloud.clock.seconds(config.get(name, common))

    def _tracking(self, policy: Any, current: int) -> int | None:
        """Return what a target tracking policy wants; None while its alarms are quiet, or nothing is measured."""
        for kind, alarm in zip(("out", "in"), policy.alarms, strict=False):  # none while the policy is being made
            value = self._value(alarm) if alarm.state_value == "ALARM" else None
            if value is not None:
                wish = by_tracking(current, value, follows(policy).target)
                return max(wish, current + 1) if kind == "out" else min(wish, current)
        return None

    def _stepping(self, policy: Any, current: int) -> int | None:
        """Return what a step scaling policy wants, by the alarms whose action it is."""
        for alarm in list(self._alarms.alarms.values()):
            if policy.policy_arn in alarm.alarm_actions and alarm.state_value == "ALARM":
                value = self._value(alarm)
                if value is not None:
                    breach = value - float(alarm.threshold)
                    return by_steps(policy.step_scaling_policy_configuration, current, breach)
        return None

    def _value(self, alarm: Alarm) -> float | None:
        """Return the latest datapoint of an alarm."""
        end = time.time()
        period = real_period(self.cloud, period_of(alarm))
        dimensions = {str(each.name): str(each.value) for each in alarm.dimensions}
        statistic = alarm.extended_statistic or alarm.statistic
        ends = (end - number * period for number in range(3))
        values = (
            self._metrics.statistic(alarm.namespace, alarm.metric_name, dimensions, statistic, end - period, end)
            for end in ends
        )
        return next((value for value in values if value is not None), None)

    def _current(self, resource: str) -> int | None:
        """Return the instances of a variant; None while its endpoint is not in service."""
        _, endpoint, _, variant = resource.split("/")
        if endpoint not in sagemaker_backends[self.cloud.account][self.cloud.region].endpoints:
            return None
        described = self.cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        if described["EndpointStatus"] != "InService":
            return None
        counts = {each["VariantName"]: each.get("DesiredInstanceCount") for each in described["ProductionVariants"]}
        return counts.get(variant)

    def _set(self, resource: str, count: int) -> bool:
        _, endpoint, _, variant = resource.split("/")
        try:
            self.cloud.client("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=endpoint,
                DesiredWeightsAndCapacities=[{"VariantName": variant, "DesiredInstanceCount": count}],
            )
        except ClientError as error:  # an update got there first: the next look tries again
            log.info("%s is not scaled to %d now: %s", resource, count, error)
            return False
        log.info("%s is scaled to %d instances", resource, count)
        return True


def follows(policy: Any) -> Tracked:
    """Return what a target tracking policy of moto's follows."""
    _, endpoint, _, variant = policy.resource_id.split("/")
    return tracked(policy.target_tracking_scaling_policy_configuration, endpoint, variant)


def make_alarms(cloud: Cloud, policy: Any) -> list[Alarm]:
    """Make the two alarms of a target tracking policy, which scale out and in."""
    follow = follows(policy)
    kinds = (
        ("High", "GreaterThanThreshold", follow.target, follow.out_periods),
        ("Low", "LessThanThreshold", follow.target * CALM, follow.in_periods),
    )
    backend = cloudwatch_backends[cloud.account][cloud.region]
    return [
        backend.put_metric_alarm(
            name=f"TargetTracking-{policy.resource_id}-Alarm{kind}-{uuid.uuid4()}",
            namespace=follow.namespace,
            metric_name=follow.metric,
            dimensions=[{"Name": name, "Value": value} for name, value in follow.dimensions.items()],
            statistic=follow.statistic,
            period=follow.period,
            evaluation_periods=periods,
            threshold=threshold,
            comparison_operator=comparison,
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.policy_arn}.",
            alarm_actions=[policy.policy_arn],
        )
        for kind, comparison, threshold, periods in kinds
    ]


def scaled_variants(cloud: Cloud, endpoint: str) -> list[str]:
    """Return the names of an endpoint's variants that are registered for scaling."""
    targets = applicationautoscaling_backends[cloud.account][cloud.region].targets.get(DIMENSION, {})
    start = f"endpoint/{endpoint}/variant/"
    return [resource.removeprefix(start) for resource in targets if resource.startswith(start)]


def forget(cloud: Cloud, endpoint: str) -> None:
    """Deregister the variants of an endpoint that is deleted."""
    backend = applicationautoscaling_backends[cloud.account][cloud.region]
    for variant in scaled_variants(cloud, endpoint):
        backend.deregister_scalable_target("sagemaker", f"endpoint/{endpoint}/variant/{variant}", DIMENSION)


def _is_of(policy: Any, target: Any) -> bool:
    return (policy.resource_id, policy.scalable_dimension) == (target.resource_id, DIMENSION)


def _suspended(target: Any, what: str) -> bool:
    return bool((target.suspended_state or {}).get(what))


def _moment(value: float | str | None) -> datetime | None:
    if value is None:
        return None
    return datetime.fromtimestamp(float(value), UTC)
