"""Updates of endpoints move traffic as their DeploymentConfig says, and back when an alarm goes off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.sagemaker.endpoint_changes import retain
from local.sagemaker.errors import Refused
from local.sagemaker.fleets import Fleet
from local.sagemaker.rollout_policy import policy_of
from tests.local import sagemaker as sm
from tests.local.functions import eventually
from tests.local.hosting import Hosting, invoke, refused, settled

ONE_HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}


def routing(kind: str, *, wait: int = 60, **more: Any) -> dict[str, Any]:
    return {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **more}}


def blue_green(kind: str, *, alarms: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A DeploymentConfig that replaces the fleet."""
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": routing(kind, **more), **rollback}


def variants(count: int, *names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"VariantName": name, "InitialInstanceCount": count, **more} for name in names or ("AllTraffic",)]


def excluding(*kinds: str) -> dict[str, Any]:
    """The part of UpdateEndpoint that retains all but some properties of variants."""
    excluded = [{"VariantPropertyType": kind} for kind in kinds]
    return {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}


class TestPolicies:
    @pytest.mark.parametrize(
        ("config", "shares"),
        [
            ({}, (1.0,)),
            (blue_green("ALL_AT_ONCE"), (1.0,)),
            (blue_green("CANARY", CanarySize={"Type": "CAPACITY_PERCENT", "Value": 10}), (0.1, 1.0)),
            (blue_green("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}), (0.25, 1.0)),
            (blue_green("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 30}), (0.3, 0.6, 0.9, 1.0)),
            (blue_green("LINEAR", LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 2}), (0.5, 1.0)),
        ],
        ids=["nothing", "at once", "canary percent", "canary count", "linear percent", "linear count"],
    )
    def test_traffic_moves_in_steps(self, config: dict[str, Any], shares: tuple[float, ...]) -> None:
        assert policy_of(config, variants(4), variants(4)).shares == pytest.approx(shares)

    @pytest.mark.parametrize(
        ("config", "new", "reason"),
        [
            (blue_green("CANARY"), variants(4), "CanarySize must be specified"),
            (blue_green("ALL_AT_ONCE", CanarySize=ONE_HALF), variants(4), "CanarySize must not be specified"),
            (blue_green("LINEAR", CanarySize=ONE_HALF), variants(4), "CanarySize must not be specified"),
            (
                blue_green("CANARY", CanarySize={"Type": "CAPACITY_PERCENT", "Value": 51}),
                variants(4),
                "CanarySize must be 1% to 50% of the variant's total instance count, not 51%",
            ),
            (
                blue_green("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 1}),
                variants(1),
                "not 1 of 1 instances",
            ),
            (
                blue_green("LINEAR", LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 9}),
                variants(4),
                "LinearStepSize must be 10% to 50%",
            ),
            (blue_green("ALL_AT_ONCE"), variants(4, "Other"), "variant names as the old one: AllTraffic, not Other"),
            (
                blue_green("CANARY", CanarySize=ONE_HALF),
                variants(4, ServerlessConfig={}),
                "real-time and asynchronous endpoints only",
            ),
            (
                {**blue_green("ALL_AT_ONCE"), "RollingUpdatePolicy": {}},
                variants(4),
                "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy",
            ),
            (
                {"BlueGreenUpdatePolicy": routing("ALL_AT_ONCE", wait=601) | {"MaximumExecutionTimeoutInSeconds": 600}},
                variants(4),
                "must be larger than the total waiting time of the deployment, 601 seconds",
            ),
        ],
        ids=[
            "no size", "size without need", "the other size", "half at most", "one of one", "tenth at least",
            "other variants", "serverless", "two policies", "waits longer than its limit",
        ],
    )  # fmt: skip
    def test_what_aws_does_not_take_is_refused(
        self, config: dict[str, Any], new: list[dict[str, Any]], reason: str
    ) -> None:
        with pytest.raises(Refused) as error:
            policy_of(config, variants(4), new)
        assert reason in error.value.message


@pytest.fixture
def serving(hosting: Hosting) -> Iterator[str]:
    """An endpoint of model one."""
    yield hosting.endpoint(hosting.config("one", VariantName="AllTraffic"))["EndpointName"]
    hosting.delete_endpoints()


@contextmanager
def asked(cloud: Cloud, name: str) -> Iterator[list[str]]:
    """Ask an endpoint all the time; the list has the models that answered, and errors."""
    answers: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answers.append(invoke(cloud, name)["told"]["model"])
            except ClientError as error:
                answers.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for each in asking:
        each.start()
    try:
        yield answers
    finally:
        done.set()
        for each in asking:
            each.join()


def stage(cloud: Cloud, name: str) -> str:
    """What happens to the new variant, "" without an update."""
    described = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    pending = described.get("PendingDeploymentSummary", {"ProductionVariants": [{"VariantStatus": [{"Status": ""}]}]})
    return str(pending["ProductionVariants"][0]["VariantStatus"][0]["Status"])


def alarm(cloud: Cloud) -> str:
    """An alarm on a metric that nothing sends."""
    name = sm.unique("alarm")
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    return name


def sound(cloud: Cloud, name: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


class TestBlueGreen:
    @pytest.mark.parametrize(
        "config",
        [
            blue_green("CANARY", wait=50, CanarySize=ONE_HALF),
            blue_green("LINEAR", wait=30, LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 34}),
        ],
        ids=["canary", "linear"],
    )
    def test_both_fleets_answer_while_traffic_shifts_and_no_request_fails(
        self, cloud: Cloud, hosting: Hosting, serving: str, config: dict[str, Any]
    ) -> None:
        second = hosting.config("two", VariantName="AllTraffic")
        seen = []

        def arrived() -> Any:
            described = hosting.client.describe_endpoint(EndpointName=serving)
            seen.append(described.get("PendingDeploymentSummary"))
            return described["EndpointStatus"] != "Updating" and described

        with asked(cloud, serving) as answers:
            hosting.client.update_endpoint(EndpointName=serving, EndpointConfigName=second, DeploymentConfig=config)
            described = eventually(arrived)
            after = len(answers)
            assert eventually(lambda: len(answers) > after + 6)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", second)
        assert described["LastDeploymentConfig"] == config
        assert "PendingDeploymentSummary" not in described
        pending = [each for each in seen if each]
        assert {each["EndpointConfigName"] for each in pending} == {second}
        stages = {each["ProductionVariants"][0]["VariantStatus"][0]["Status"] for each in pending}
        assert {"Creating", "Baking"} <= stages <= {"Creating", "ActivatingTraffic", "Baking"}
        assert set(answers) == {"one", "two"}
        assert answers.index("two") + 3 < len(answers) - answers[::-1].index("one")  # in turns, not one after the other
        assert set(answers[after + 3 :]) == {"two"}

    def test_an_alarm_while_baking_brings_the_old_fleet_back(
        self, cloud: Cloud, hosting: Hosting, serving: str
    ) -> None:
        first = hosting.client.describe_endpoint(EndpointName=serving)["EndpointConfigName"]
        watch = alarm(cloud)
        with asked(cloud, serving) as answers:
            hosting.client.update_endpoint(
                EndpointName=serving,
                EndpointConfigName=hosting.config("two", VariantName="AllTraffic"),
                DeploymentConfig=blue_green("CANARY", alarms=(watch,), wait=3600, CanarySize=ONE_HALF),
            )
            assert eventually(lambda: stage(cloud, serving) == "Baking")
            assert eventually(lambda: "two" in answers)
            sound(cloud, watch)
            described = settled(cloud, serving)
            after = len(answers)
            assert eventually(lambda: len(answers) > after + 6)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", first)
        assert f"CloudWatch alarms in ALARM state: {watch}" in described["FailureReason"]
        assert set(answers) == {"one", "two"}
        assert set(answers[after + 3 :]) == {"one"}

    def test_a_model_that_answers_5xx_is_taken_back_by_its_own_metrics(
        self, cloud: Cloud, hosting: Hosting, serving: str
    ) -> None:
        first, watch = hosting.client.describe_endpoint(EndpointName=serving)["EndpointConfigName"], sm.unique("alarm")
        second = hosting.config("faulty", VariantName="AllTraffic")
        dimensions = {"EndpointName": serving, "VariantName": "AllTraffic", "EndpointConfigName": second}
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=watch,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0.5,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
        tenth = {"Type": "CAPACITY_PERCENT", "Value": 10}
        with asked(cloud, serving) as answers:
            hosting.client.update_endpoint(
                EndpointName=serving,
                EndpointConfigName=second,
                DeploymentConfig=blue_green("CANARY", alarms=(watch,), wait=3600, CanarySize=tenth),
            )
            described = settled(cloud, serving)
            after = len(answers)
            assert eventually(lambda: len(answers) > after + 6)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", first)
        assert watch in described["FailureReason"]
        assert set(answers[after + 3 :]) == {"one"}
        failed = len(answers) - answers.count("one")
        assert 0 < failed < len(answers) / 3

    def test_an_alarm_that_does_not_exist_is_refused(self, cloud: Cloud, hosting: Hosting, serving: str) -> None:
        error = refused(
            hosting.client.update_endpoint,
            EndpointName=serving,
            EndpointConfigName=hosting.client.describe_endpoint(EndpointName=serving)["EndpointConfigName"],
            DeploymentConfig=blue_green("ALL_AT_ONCE", alarms=("never-made",)),
        )
        assert "Could not find CloudWatch alarm never-made" in error["Error"]["Message"]

    def test_the_way_of_deploying_that_it_was_made_with_can_be_used_again(self, cloud: Cloud, hosting: Hosting) -> None:
        config, name = hosting.config("one", VariantName="AllTraffic"), sm.unique("endpoint")
        once = blue_green("ALL_AT_ONCE", wait=100)
        hosting.client.create_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=once)
        settled(cloud, name)
        hosting.client.update_endpoint(EndpointName=name, EndpointConfigName=config, RetainDeploymentConfig=True)
        assert eventually(lambda: stage(cloud, name) == "Baking")
        assert settled(cloud, name)["LastDeploymentConfig"] == once
        hosting.client.delete_endpoint(EndpointName=name)


class TestRetaining:
    @pytest.mark.parametrize(
        ("request_", "weight", "count", "percent"),
        [
            ({}, 1.0, 1, 10),
            ({"RetainAllVariantProperties": True}, 3.0, 4, 50),
            (excluding("DesiredInstanceCount"), 3.0, 1, 50),
            (excluding("DesiredWeight", "DataCaptureConfig"), 1.0, 4, 10),
        ],
        ids=["nothing", "all", "all but instances", "instances"],
    )
    def test_an_update_takes_over_what_it_is_asked_to(
        self, cloud: Cloud, request_: dict[str, Any], weight: float, count: int, percent: int
    ) -> None:
        fleet = Fleet(
            cloud=cloud,
            config="old",
            folder=cloud.root / "unused",
            variants=variants(4, InitialVariantWeight=3.0),
            shadows=[],
            capture={"InitialSamplingPercentage": 50},
            asynchronous={},
            model=lambda _: {},
            on_line=print,
        )
        new = {
            "ProductionVariants": variants(1, InitialVariantWeight=1.0),
            "DataCaptureConfig": {"InitialSamplingPercentage": 10},
        }
        retained = retain(new, fleet, request_)
        variant = retained["ProductionVariants"][0]
        assert (variant["InitialVariantWeight"], variant["InitialInstanceCount"]) == (weight, count)
        assert retained["DataCaptureConfig"]["InitialSamplingPercentage"] == percent


class TestRolling:
    def test_instances_are_replaced_batch_by_batch(self, cloud: Cloud, hosting: Hosting) -> None:
        name = hosting.endpoint(hosting.config("one", VariantName="AllTraffic", InitialInstanceCount=2))["EndpointName"]
        second = hosting.config("two", VariantName="AllTraffic", InitialInstanceCount=2)
        counts = set()

        def replaced() -> bool:
            described = hosting.client.describe_endpoint(EndpointName=name)
            counts.add(described["ProductionVariants"][0]["CurrentInstanceCount"])
            return bool(described["EndpointStatus"] == "InService")

        with asked(cloud, name) as answers:
            hosting.client.update_endpoint(EndpointName=name, EndpointConfigName=second, DeploymentConfig=rolling())
            assert eventually(replaced)
        assert set(answers) == {"one", "two"}
        assert counts == {1, 2}
        assert settled(cloud, name)["EndpointConfigName"] == second
        hosting.delete_endpoints()

    @pytest.mark.parametrize("lost", [False, True], ids=["old model there", "old model deleted"])
    def test_an_alarm_brings_the_old_instances_back_if_they_can_come(
        self, cloud: Cloud, hosting: Hosting, lost: bool
    ) -> None:
        old = hosting.variant("one", VariantName="AllTraffic", InitialInstanceCount=2)
        first = hosting.config_of(ProductionVariants=[old])
        name, watch = hosting.endpoint(first)["EndpointName"], alarm(cloud)
        second = hosting.config("two", VariantName="AllTraffic", InitialInstanceCount=2)
        hosting.client.update_endpoint(
            EndpointName=name, EndpointConfigName=second, DeploymentConfig=rolling(watch, wait=100)
        )
        assert eventually(lambda: instances(cloud, name) == 1)
        if lost:
            hosting.client.delete_model(ModelName=old["ModelName"])
        sound(cloud, watch)
        described = settled(cloud, name)
        assert described["EndpointConfigName"] == first
        assert watch in described["FailureReason"]
        assert described["EndpointStatus"] == ("UpdateRollbackFailed" if lost else "InService")
        assert {invoke(cloud, name)["told"]["model"] for _ in range(20)} == ({"one", "two"} if lost else {"one"})
        assert instances(cloud, name) == (1 if lost else 2)
        hosting.delete_endpoints()


def rolling(*alarms: str, wait: int = 30) -> dict[str, Any]:
    """A DeploymentConfig that replaces half of the instances at a time."""
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}} if alarms else {}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": ONE_HALF, "WaitIntervalInSeconds": wait}, **rollback}


def instances(cloud: Cloud, name: str) -> int:
    described = cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    return int(described["ProductionVariants"][0]["CurrentInstanceCount"])
