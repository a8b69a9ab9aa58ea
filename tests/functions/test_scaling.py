"""What Application Auto Scaling is asked: by the version's settings, by its variants, by what is in service."""

from __future__ import annotations

from typing import Any

import pytest

from contract import names, packages
from contract.config import Deploy
from functions import rollout, scaling
from functions.rollout import CHALLENGER, VARIANT, Live

ENDPOINT = "acme--digits--realtime"
TAGS = names.tags("acme", "digits", "r")
BY_LOAD: dict[str, Any] = {
    "target": "realtime", "min_instances": 2, "max_instances": 6, "instances": 3, "invocations_per_instance": 600,
    "concurrency_per_instance": 2.5,
}  # fmt: skip
BY_BACKLOG: dict[str, Any] = {
    "target": "async", "min_instances": 0, "max_instances": 3, "backlog_per_instance": 5.0,
}  # fmt: skip


def planned(settings: dict[str, Any]) -> list[dict[str, Any]]:
    return scaling.policies(ENDPOINT, {VARIANT: Deploy(**settings)}, TAGS)


def test_a_fixed_number_of_instances_is_not_scaled() -> None:
    assert planned({"target": "realtime", "instances": 3}) == []


def test_a_real_time_variant_follows_each_measure_within_its_limits() -> None:
    requests, at_once = planned(BY_LOAD)
    for each in (requests, at_once):
        assert each["target"] == {
            "ServiceNamespace": "sagemaker",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ResourceId": f"endpoint/{ENDPOINT}/variant/AllTraffic",
            "MinCapacity": 2,
            "MaxCapacity": 6,
        }
        assert each["alarms"] == [], "the service makes its own"
    followed = [each["policy"]["TargetTrackingScalingPolicyConfiguration"] for each in (requests, at_once)]
    assert [
        (each["TargetValue"], each["PredefinedMetricSpecification"]["PredefinedMetricType"]) for each in followed
    ] == [
        (600.0, "SageMakerVariantInvocationsPerInstance"),
        (2.5, "SageMakerVariantConcurrentRequestsPerModelHighResolution"),
    ]


def test_a_queue_is_scaled_by_its_length_and_from_zero_by_the_first_request_that_waits() -> None:
    backlog, first = planned(BY_BACKLOG)
    followed = backlog["policy"]["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert (followed["MetricName"], followed["Dimensions"]) == (
        "ApproximateBacklogSizePerInstance",
        [{"Name": "EndpointName", "Value": ENDPOINT}],
    )
    assert first["policy"]["PolicyType"] == "StepScaling"
    (alarm,) = first["alarms"]
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert names.ALARM.fullmatch(alarm["AlarmName"]), "so that `tandem destroy` finds it"
    assert len(planned({**BY_BACKLOG, "min_instances": 1})) == 1, "there is always an instance"


@pytest.mark.parametrize(("serving", "expected"), [(1, 3), (5, 5), (9, 6)])
def test_a_new_version_begins_with_as_many_instances_as_the_champion_has_now(serving: int, expected: int) -> None:
    live = Live(config="c", variants=({"VariantName": VARIANT, "InitialInstanceCount": serving},))
    assert rollout.as_many("m", Deploy(**BY_LOAD), live)["InitialInstanceCount"] == expected
    fixed = Deploy(target="realtime", instances=2)
    assert rollout.as_many("m", fixed, live)["InitialInstanceCount"] == 2


def test_each_variant_of_a_test_is_scaled_as_its_own_version_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"champion": Deploy(**BY_LOAD), "challenger": Deploy(target="realtime")}
    monkeypatch.setattr(
        scaling,
        "_properties",
        lambda arn: {"tenant": "acme", "project": "digits", **packages.deploy_properties(settings[arn])},
    )
    row = {"package_arn": "champion", "endpoint": ENDPOINT, "run": "r", "challenger": {"package_arn": "challenger"}}
    resources = {each["target"]["ResourceId"] for each in scaling.of_champion(row)}
    assert resources == {names.variant_resource(ENDPOINT, VARIANT)}
    row |= {"package_arn": "challenger", "challenger": {"package_arn": "champion"}}
    resources = {each["target"]["ResourceId"] for each in scaling.of_champion(row)}
    assert resources == {names.variant_resource(ENDPOINT, CHALLENGER)}
