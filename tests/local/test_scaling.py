"""Variants of endpoints get more instances and fewer: by hand, by their load, by the time of day."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.config import Deploy
from functions.scaling import policies
from local import schedules
from local.cloud import Cloud
from local.scaling_rules import by_steps, by_tracking
from tests.local import machines
from tests.local import sagemaker as sm
from tests.local.functions import eventually
from tests.local.hosting import Hosting, invoke, refused, settled
from tests.local.test_async_inference import Queue

SCALABLE = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
PREDEFINED = "SageMakerVariantInvocationsPerInstance"


class TestRules:
    @pytest.mark.parametrize(
        ("current", "value", "wanted"), [(1, 25.0, 3), (2, 10.0, 2), (4, 2.0, 1), (0, 15.0, 2), (3, 0.0, 0)]
    )
    def test_tracking_brings_each_instance_to_its_target(self, current: int, value: float, wanted: int) -> None:
        assert by_tracking(current, value, 10.0) == wanted

    @pytest.mark.parametrize(
        ("kind", "breach", "wanted"),
        [
            ("ChangeInCapacity", 0.0, 5),
            ("ChangeInCapacity", 10.0, 7),
            ("ChangeInCapacity", -1.0, 4),
            ("ExactCapacity", 12.0, 3),
            ("PercentChangeInCapacity", 3.0, 5),
        ],
    )
    def test_a_step_changes_the_number_by_how_far_the_alarm_is_exceeded(
        self, kind: str, breach: float, wanted: int
    ) -> None:
        steps = [
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
        ]
        assert by_steps({"AdjustmentType": kind, "StepAdjustments": steps}, 4, breach) == wanted


MADE = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)  # a Friday


class TestSchedules:
    @pytest.mark.parametrize(
        ("text", "zone", "minutes"),
        [
            ("at(2026-11-20T12:10:00)", "UTC", [9]),
            ("at(2026-11-20T13:10:00)", "Europe/Rome", [9]),
            ("rate(5 minutes)", "UTC", [4, 9, 14, 19]),
            ("cron(0/10 12 * * ? *)", "UTC", [9, 19]),
            ("cron(5,15 13 ? * MON-FRI 2026)", "Europe/Rome", [4, 14]),
            ("cron(5 12 ? * SUN *)", "UTC", []),
        ],
    )
    def test_a_schedule_fires_in_its_minutes(self, text: str, zone: str, minutes: list[int]) -> None:
        fires = schedules.times(text, zone)
        moments = [MADE + timedelta(minutes=number) for number in range(21)]
        assert [number for number in range(20) if fires(MADE, moments[number], moments[number + 1])] == minutes

    @pytest.mark.parametrize("text", ["every day", "rate(5)", "cron(* * *)", "cron(0 8 L * ? *)", "cron(61 * * * ? *)"])
    def test_what_cannot_be_read_is_refused(self, text: str) -> None:
        with pytest.raises(schedules.BadSchedule):
            schedules.times(text)


@pytest.fixture(scope="module")
def serving(hosting: Hosting) -> Iterator[str]:
    """An endpoint of model one."""
    yield hosting.endpoint(hosting.config("one", VariantName="AllTraffic"))["EndpointName"]
    hosting.delete_endpoints()


@pytest.fixture
def registered(cloud: Cloud, serving: str) -> Iterator[dict[str, str]]:
    """The endpoint's variant, registered for scaling from 1 to 2 instances."""
    target = {**SCALABLE, "ResourceId": f"endpoint/{serving}/variant/AllTraffic"}
    client = cloud.client("application-autoscaling")
    client.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    yield target
    client.deregister_scalable_target(**target)
    settled(cloud, serving)
    count(cloud, serving, 1)
    settled(cloud, serving)


def count(cloud: Cloud, name: str, instances: int) -> None:
    """Ask for a number of instances."""
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": instances}],
    )


def instances(cloud: Cloud, name: str) -> int:
    described = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    return int(described["ProductionVariants"][0]["CurrentInstanceCount"])


class TestByHand:
    def test_instances_come_and_go_while_the_others_answer(self, cloud: Cloud, serving: str) -> None:
        for wanted in (2, 1):
            count(cloud, serving, wanted)
            assert cloud.client("sagemaker").describe_endpoint(EndpointName=serving)["EndpointStatus"] == "Updating"
            assert invoke(cloud, serving)["told"]["model"] == "one"
            described = settled(cloud, serving)["ProductionVariants"][0]
            assert (described["CurrentInstanceCount"], described["DesiredInstanceCount"]) == (wanted, wanted)
            assert invoke(cloud, serving)["told"]["model"] == "one"

    def test_an_endpoint_that_answers_at_once_needs_an_instance(self, cloud: Cloud, serving: str) -> None:
        weights = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}]
        update = cloud.client("sagemaker").update_endpoint_weights_and_capacities
        error = refused(update, EndpointName=serving, DesiredWeightsAndCapacities=weights)
        assert "must be at least 1" in error["Error"]["Message"]


class TestByLoad:
    def test_a_policys_own_alarms_scale_out_and_in(
        self, cloud: Cloud, serving: str, registered: dict[str, str]
    ) -> None:
        scaling = cloud.client("application-autoscaling")
        alarms = scaling.put_scaling_policy(
            **registered,
            PolicyName="load",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 5.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": PREDEFINED},
                "ScaleOutCooldown": 30,
                "ScaleInCooldown": 30,
            },
        )["Alarms"]
        assert [each["AlarmName"].split("-Alarm")[1].split("-")[0] for each in alarms] == ["High", "Low"]

        def asked_until(wanted: int) -> bool:
            for _ in range(8 if wanted == 2 else 1):
                invoke(cloud, serving)
            return instances(cloud, serving) == wanted

        assert eventually(lambda: asked_until(2))
        low = alarms[1]["AlarmName"]

        def calm() -> bool:  # fifteen minutes of little traffic, cut short
            time.sleep(0.6)
            cloud.client("cloudwatch").set_alarm_state(AlarmName=low, StateValue="ALARM", StateReason="a test")
            return asked_until(1)

        settled(cloud, serving)
        assert eventually(calm)

    def test_requests_at_once_scale_out(self, cloud: Cloud, serving: str, registered: dict[str, str]) -> None:
        kind = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
        cloud.client("application-autoscaling").put_scaling_policy(
            **registered,
            PolicyName="at-once",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 1.5,
                "PredefinedMetricSpecification": {"PredefinedMetricType": kind},
            },
        )
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                invoke(cloud, serving, b"sleep 0.3")

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for each in asking:
            each.start()
        try:
            assert eventually(lambda: instances(cloud, serving) == 2)
        finally:
            done.set()
            for each in asking:
                each.join()

    def test_a_step_policy_follows_the_alarm_whose_action_it_is(
        self, cloud: Cloud, serving: str, registered: dict[str, str]
    ) -> None:
        metric = sm.unique("backlog")
        arn = cloud.client("application-autoscaling").put_scaling_policy(
            **registered,
            PolicyName="backlog",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "Cooldown": 30,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        )["PolicyARN"]
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=metric,
            Namespace="Test",
            MetricName=metric,
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            AlarmActions=[arn],
        )
        cloud.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[{"MetricName": metric, "Value": 4}])
        assert eventually(lambda: instances(cloud, serving) == 2)

    def test_scaled_variants_keep_their_instance_type(
        self, cloud: Cloud, hosting: Hosting, serving: str, registered: dict[str, str]
    ) -> None:
        other = hosting.config("two", VariantName="AllTraffic", InstanceType="ml.m5.large")
        error = refused(hosting.client.update_endpoint, EndpointName=serving, EndpointConfigName=other)
        assert "must be deregistered as scalable targets" in error["Error"]["Message"]

    def test_what_is_not_scaled_is_not_found(self, cloud: Cloud) -> None:
        client = cloud.client("application-autoscaling")
        with pytest.raises(client.exceptions.ObjectNotFoundException):
            client.deregister_scalable_target(**SCALABLE, ResourceId="endpoint/none/variant/AllTraffic")


class TestByBacklog:
    def test_a_queue_lets_its_last_instance_go_and_takes_one_back_for_a_request(
        self, cloud: Cloud, hosting: Hosting
    ) -> None:
        """By the very policies that a deployment puts."""
        queue, scaling = Queue(cloud, hosting), cloud.client("application-autoscaling")
        deploy = Deploy(target="async", min_instances=0, max_instances=2, backlog_per_instance=2.0)
        for each in policies(queue.name, {"AllTraffic": deploy}, []):
            scaling.register_scalable_target(**each["target"])
            arn = scaling.put_scaling_policy(**each["policy"])["PolicyARN"]
            for alarm in each["alarms"]:
                cloud.client("cloudwatch").put_metric_alarm(**alarm, AlarmActions=[arn])
        alarms = cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"TargetTracking-endpoint/{queue.name}/")
        (low,) = [each["AlarmName"] for each in alarms["MetricAlarms"] if "AlarmLow" in each["AlarmName"]]

        def idle() -> bool:  # fifteen minutes with an empty queue, cut short
            cloud.client("cloudwatch").set_alarm_state(AlarmName=low, StateValue="ALARM", StateReason="a test")
            time.sleep(0.3)
            return instances(cloud, queue.name) == 0

        assert eventually(idle)
        assert queue.answer(queue.ask(b"hello"))["model"] == "one"
        assert instances(cloud, queue.name) == 1
        hosting.client.delete_endpoint(EndpointName=queue.name)


class TestByTime:
    def test_a_scheduled_action_moves_the_limits(self, cloud: Cloud, serving: str, registered: dict[str, str]) -> None:
        client = cloud.client("application-autoscaling")
        client.put_scheduled_action(
            **registered,
            ScheduledActionName="morning",
            Schedule="rate(1 minute)",
            ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 3},
        )
        assert eventually(lambda: instances(cloud, serving) == 2)
        found = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[registered["ResourceId"]])
        assert found["ScalableTargets"][0]["MaxCapacity"] == 3


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"ResourceId": "endpoint/never-made/variant/AllTraffic"}, "Could not find endpoint variant"),
            ({"MinCapacity": 3}, "Maximum capacity cannot be less than minimum capacity"),
            ({"MinCapacity": 0}, "Minimum capacity must be at least 1"),
        ],
        ids=["no such endpoint", "limits", "none"],
    )
    def test_targets(self, cloud: Cloud, serving: str, changes: dict[str, Any], why: str) -> None:
        target = {
            **SCALABLE,
            "ResourceId": f"endpoint/{serving}/variant/AllTraffic",
            "MinCapacity": 1,
            "MaxCapacity": 2,
        }
        with pytest.raises(ClientError, match=why):
            cloud.client("application-autoscaling").register_scalable_target(**{**target, **changes})

    def test_policies_and_schedules(self, cloud: Cloud, registered: dict[str, str]) -> None:
        client = cloud.client("application-autoscaling")
        spec = {
            "TargetValue": 1.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"},
        }
        with pytest.raises(ClientError, match="ALBRequestCountPerTarget is not allowed for SageMaker variants"):
            client.put_scaling_policy(
                **registered,
                PolicyName="p",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration=spec,
            )
        with pytest.raises(ClientError, match="is no schedule"):
            client.put_scheduled_action(**registered, ScheduledActionName="a", Schedule="daily")
        with pytest.raises(ClientError, match="No scalable target registered"):
            client.put_scheduled_action(
                **{**registered, "ResourceId": "endpoint/x/variant/y"}, ScheduledActionName="a", Schedule="rate(1 hour)"
            )


def test_step_functions_reach_it(cloud: Cloud, serving: str, registered: dict[str, str]) -> None:
    states = {
        "Describe": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:applicationautoscaling:describeScalableTargets",
            "Arguments": {"ServiceNamespace": "sagemaker", "ResourceIds": [registered["ResourceId"]]},
            "End": True,
        }
    }
    found = machines.run(cloud, states).output["ScalableTargets"]
    assert [(each["MinCapacity"], each["MaxCapacity"]) for each in found] == [(1, 2)]


def test_a_deleted_endpoint_is_forgotten(cloud: Cloud, hosting: Hosting) -> None:
    name = hosting.endpoint(hosting.config("one", VariantName="AllTraffic"))["EndpointName"]
    resource, client = f"endpoint/{name}/variant/AllTraffic", cloud.client("application-autoscaling")
    client.register_scalable_target(**SCALABLE, ResourceId=resource, MinCapacity=1, MaxCapacity=2)
    hosting.client.delete_endpoint(EndpointName=name)
    asked = {"ServiceNamespace": "sagemaker", "ResourceIds": [resource]}
    assert eventually(lambda: not client.describe_scalable_targets(**asked)["ScalableTargets"])


def test_vanilla_moto_scales_nothing(vanilla: Any) -> None:
    client = vanilla.client("application-autoscaling")
    target = {**SCALABLE, "ResourceId": "endpoint/never-made/variant/AllTraffic"}
    client.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    spec = {"TargetValue": 1.0, "PredefinedMetricSpecification": {"PredefinedMetricType": PREDEFINED}}
    answer = client.put_scaling_policy(
        **target,
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=spec,
    )
    assert answer["Alarms"] == []
    client.deregister_scalable_target(**target)
    assert len(client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]) == 1
