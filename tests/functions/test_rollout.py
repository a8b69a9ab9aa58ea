"""How traffic moves: variants, alarms, UpdateEndpoint's DeploymentConfig, checked against AWS's own models."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from contract import names
from contract.config import Deploy
from functions import deployment, rollout
from functions.rollout import Live

TAGS = names.tags("acme", "digits", "r")
ENDPOINT = "acme--digits--realtime"
FLEET = Deploy(target="realtime", instances=2)
LIVE = Live(config="old", variants=(rollout.variant("old", FLEET),))

AB = Live(config="ab", variants=(*LIVE.variants, {"VariantName": rollout.CHALLENGER}))


def check(service: str, operation: str, request: dict[str, Any]) -> None:
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    assert shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    ("settings", "routing", "seconds"),
    [
        ({"rollout": "all"}, {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}, 300),
        ({"rollout": "canary"}, {"Type": "CANARY", "WaitIntervalInSeconds": 300, "CanarySize": 10}, 900),
        ({"rollout": "linear", "step_percent": 30},
         {"Type": "LINEAR", "WaitIntervalInSeconds": 300, "LinearStepSize": 30}, 1500),
    ],
    ids=["all", "canary", "linear"],
)  # fmt: skip
def test_traffic_moves_as_asked_and_no_longer_than_sagemaker_waits(
    settings: dict[str, Any], routing: dict[str, Any], seconds: int
) -> None:
    config = rollout.deployment_config(Deploy(target="realtime", instances=2, **settings), ["a"])
    check("sagemaker", "UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c", "DeploymentConfig": config})
    policy = config["BlueGreenUpdatePolicy"]
    found = policy["TrafficRoutingConfiguration"]
    assert {name: value["Value"] if isinstance(value, dict) else value for name, value in found.items()} == routing
    assert policy["TerminationWaitInSeconds"] == 300
    assert policy["MaximumExecutionTimeoutInSeconds"] > seconds
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "a"}]}


def test_alarms_look_at_the_share_of_errors_and_at_latency_in_the_units_of_sagemakers_metrics() -> None:
    deploy = Deploy(target="realtime", max_error_percent=2.5, max_latency_ms=150)
    errors, latency = rollout.alarms(ENDPOINT, "AllTraffic", deploy, TAGS)
    for alarm in (errors, latency):
        check("cloudwatch", "PutMetricAlarm", alarm)
        assert names.ALARM.fullmatch(alarm["AlarmName"])
    assert (errors["MetricName"], errors["Statistic"], errors["Threshold"]) == ("Invocation5XXErrors", "Average", 0.025)
    assert (latency["MetricName"], latency["ExtendedStatistic"], latency["Threshold"]) == (
        "ModelLatency",
        "p99",
        150_000,
    )
    assert len(rollout.alarms(ENDPOINT, "AllTraffic", Deploy(target="realtime"), TAGS)) == 1
    assert rollout.alarms("acme--digits--serverless", "AllTraffic", Deploy(), TAGS) == []


def test_a_challenger_gets_its_share_beside_the_champion_as_it_serves() -> None:
    serving = Live(config="old", variants=({**LIVE.champion, "InitialInstanceCount": 5},))
    champion, challenger = rollout.ab_variants("new", Deploy(target="realtime", ab_percent=10), serving)
    assert (champion["ModelName"], champion["InitialVariantWeight"], champion["InitialInstanceCount"]) == ("old", 90, 5)
    assert (challenger["ModelName"], challenger["VariantName"], challenger["InitialVariantWeight"]) == (
        "new", "Challenger", 10,
    )  # fmt: skip


def test_a_shadow_gets_its_percent_of_the_champions_requests() -> None:
    found = rollout.shadow_configuration("new", Deploy(target="realtime", shadow_percent=20), LIVE)
    check("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "c", **found})
    (champion,), (shadow,) = found["ProductionVariants"], found["ShadowProductionVariants"]
    assert shadow["InitialVariantWeight"] / champion["InitialVariantWeight"] == 0.2


@pytest.mark.parametrize(
    ("deploy", "live", "at_once", "guarded", "watched"),
    [
        (FLEET, LIVE, False, True, ["AllTraffic"]),
        (Deploy(target="async", instances=2), LIVE, False, True, ["AllTraffic"]),
        (FLEET, LIVE, True, False, ["AllTraffic"]),
        (FLEET, None, False, False, ["AllTraffic"]),
        (FLEET, AB, False, False, ["AllTraffic"]),
        (Deploy(target="realtime", shadow_percent=5), LIVE, False, True, ["AllTraffic", "Shadow"]),
        (Deploy(), LIVE, False, False, []),
    ],
    ids=["update", "async", "rollback", "first", "after-ab-test", "shadow", "serverless"],
)  # fmt: skip
def test_sagemaker_guards_an_update_between_configurations_of_the_same_variants(
    deploy: Deploy, live: Live | None, at_once: bool, guarded: bool, watched: list[str]
) -> None:
    plan = deployment.watching(ENDPOINT, [rollout.variant("new", deploy)], deploy, live, at_once, TAGS)
    assert ("DeploymentConfig" in plan["update"]) is guarded
    assert [alarm["Dimensions"][1]["Value"] for alarm in plan["alarms"]] == watched


def test_what_is_captured_lies_below_the_project() -> None:
    assert rollout.capture(FLEET, "bucket", "acme/digits/capture/", "key") == {}
    found = rollout.capture(Deploy(target="realtime", capture_percent=5), "bucket", "acme/digits/capture/", "key")
    variants = [rollout.variant("m", FLEET)]
    check("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": variants, **found})
    assert found["DataCaptureConfig"]["DestinationS3Uri"] == "s3://bucket/acme/digits/capture/"
    assert found["DataCaptureConfig"]["KmsKeyId"] == "key"
    assert found["DataCaptureConfig"]["InitialSamplingPercentage"] == 5


def test_an_asynchronous_endpoint_leaves_its_answers_below_the_project_encrypted_with_our_key() -> None:
    assert rollout.asynchronous(FLEET, "bucket", "acme/digits/async/", "key") == {}
    deploy = Deploy(target="async", max_concurrency=3)
    found = rollout.asynchronous(deploy, "bucket", "acme/digits/async/", "key")
    variants = [rollout.variant("m", deploy)]
    check("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": variants, **found})
    assert found["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 3},
        "OutputConfig": {
            "KmsKeyId": "key",
            "S3OutputPath": "s3://bucket/acme/digits/async/answers/",
            "S3FailurePath": "s3://bucket/acme/digits/async/failures/",
        },
    }


def test_a_long_rollout_is_looked_at_seldom() -> None:
    assert rollout.poll_seconds(Deploy()) == 5
    longest = Deploy(rollout="linear", step_percent=25, bake_minutes=60)
    assert 10 * (300 * 60 / rollout.poll_seconds(longest)) < 20_000, "an execution has 25,000 events"
