"""Gap: nothing is ever scaled.

AWS carries out scaling policies and scheduled actions, makes the two alarms of a target tracking policy, and forgets
both with the target they belong to. moto keeps records, and calls a target that is not there a mistake. Closed for
SageMaker variants by ``local/{scaling,scaling_rules,schedules}.py``.

Not emulated, and refused: predictive scaling, metric math in a policy, ``L``, ``W`` and ``#`` in cron expressions,
provisioned concurrency and inference components. DescribeScalingActivities is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeApplicationAutoscalingPolicy
from moto.core.exceptions import JsonRESTError
from moto.sagemaker.models import sagemaker_backends

from local import schedules
from local.scaling import Scaler, follows, make_alarms
from local.scaling_rules import NotKnown

if TYPE_CHECKING:
    from local.cloud import Cloud

Backend = ApplicationAutoscalingBackend
REGISTER, DEREGISTER = Backend.register_scalable_target, Backend.deregister_scalable_target
PUT_POLICY, PUT_ACTION = Backend.put_scaling_policy, Backend.put_scheduled_action


def install(cloud: Cloud) -> None:
    """Check what is registered for SageMaker variants, and carry it out."""

    def put_scaling_policy(self: Backend, *args: Any, **request: Any) -> FakeApplicationAutoscalingPolicy:
        if request["service_namespace"] == "sagemaker":
            _must_be_registered(self, request["resource_id"], request["scalable_dimension"])
        before = self.policies.copy()
        policy = PUT_POLICY(self, *args, **request)
        if policy.service_namespace == "sagemaker" and policy.policy_type == "TargetTrackingScaling":
            try:
                follows(policy)
            except NotKnown as error:
                self.policies = before
                raise AWSValidationException(str(error)) from error
            replaced = before.get(_key(policy))
            if replaced:
                replaced.delete_alarms(self.account_id, self.region_name)
            policy.alarms = make_alarms(cloud, policy)
        return policy

    setattr(Backend, "register_scalable_target", _register_scalable_target)  # noqa: B010
    setattr(Backend, "deregister_scalable_target", _deregister_scalable_target)  # noqa: B010
    setattr(Backend, "put_scaling_policy", put_scaling_policy)  # noqa: B010
    setattr(Backend, "put_scheduled_action", _put_scheduled_action)  # noqa: B010
    Scaler(cloud).start()


def _register_scalable_target(
    self: Backend,
    namespace: str,
    r_id: str,
    dimension: str,
    min_capacity: int | None,
    max_capacity: int | None,
    *args: Any,
    **more: Any,
) -> Any:
    if namespace == "sagemaker":
        known = self.targets.get(dimension, {}).get(r_id)
        low = known.min_capacity if known and min_capacity is None else min_capacity
        high = known.max_capacity if known and max_capacity is None else max_capacity
        if low is None or high is None:
            raise AWSValidationException("MinCapacity and MaxCapacity are required for a new scalable target")
        if not 0 <= low <= high:
            raise AWSValidationException("Maximum capacity cannot be less than minimum capacity")
        _check_variant(self, r_id, low)
    return REGISTER(self, namespace, r_id, dimension, min_capacity, max_capacity, *args, **more)


def _check_variant(self: Backend, resource: str, low: int) -> None:
    """Refuse a variant that is not there, and to let one that answers at once fall to no instance."""
    kind, endpoint, _, variant = (*resource.split("/"), "", "", "", "")[:4]
    sagemaker: Any = sagemaker_backends[self.account_id][self.region_name]
    record = sagemaker.endpoints.get(endpoint) if kind == "endpoint" else None
    config: Any = sagemaker.endpoint_configs.get(record.describe()["EndpointConfigName"]) if record else None
    variants = {each["VariantName"] for each in config.request["ProductionVariants"]} if config else set()
    if variant not in variants:
        raise AWSValidationException(f"Could not find endpoint variant for resource ID: {resource}")
    if low == 0 and "AsyncInferenceConfig" not in config.request:
        raise AWSValidationException(
            "Minimum capacity must be at least 1 for a variant that is not of an asynchronous endpoint"
        )


def _deregister_scalable_target(self: Backend, namespace: str, r_id: str, dimension: str) -> None:
    if r_id not in self.targets.get(dimension, {}):
        raise JsonRESTError(
            "ObjectNotFoundException",
            f"No scalable target found for service namespace: {namespace}, resource ID: {r_id}, scalable dimension: "
            f"{dimension}",
        )
    DEREGISTER(self, namespace, r_id, dimension)
    for key, policy in list(self.policies.items()):
        if (policy.resource_id, policy.scalable_dimension) == (r_id, dimension):
            policy.delete_alarms(self.account_id, self.region_name)
            del self.policies[key]
    self.scheduled_actions = [
        each for each in self.scheduled_actions if (each.resource_id, each.scalable_dimension) != (r_id, dimension)
    ]


def _put_scheduled_action(self: Backend, **request: Any) -> None:
    if request["service_namespace"] == "sagemaker":
        _must_be_registered(self, request["resource_id"], request["scalable_dimension"])
        try:
            schedules.times(request["schedule"], request.get("timezone") or "UTC")
        except (schedules.BadSchedule, KeyError) as error:
            raise AWSValidationException(str(error)) from error
    PUT_ACTION(self, **request)


def _must_be_registered(self: Backend, resource: str, dimension: str) -> None:
    if resource not in self.targets.get(dimension, {}):
        raise AWSValidationException(
            f"No scalable target registered for service namespace: sagemaker, resource ID: {resource}, "
            f"scalable dimension: {dimension}"
        )


def _key(policy: FakeApplicationAutoscalingPolicy) -> str:
    return FakeApplicationAutoscalingPolicy.formulate_key(
        policy.service_namespace, policy.resource_id, policy.scalable_dimension, policy.policy_name
    )
