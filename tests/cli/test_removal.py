"""What `tandem destroy` finds of an installation that is at work."""

from __future__ import annotations

import pytest

from cli import removal
from cli.aws import Account
from contract import names
from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local import tuning as tn


def test_a_search_that_goes_on_is_stopped(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    account, sagemaker = Account(), cloud.client("sagemaker")
    account.__dict__["outputs"] = {}  # no machines: what runs on when they are gone
    definition = tn.definition(tn.push_image(cloud), sm.bucket(cloud), tn.SLOW)
    request = tn.tuning(definition, jobs=1, parallel=1)
    sagemaker.create_hyper_parameter_tuning_job(**request, Tags=names.tags("acme", "digits", "r"))
    search = request["HyperParameterTuningJobName"]
    tn.wait_for_output(cloud, search, jobs=1)
    found = [item for item in removal.find_running(account) if item.name == search]
    assert [item.kind for item in found] == ["search"]
    removal.remove(account, found, say=lambda line: None)
    assert tn.tuned(cloud, search)["HyperParameterTuningJobStatus"] == "Stopped"
    removal.remove(account, found, say=lambda line: None)  # it has ended meanwhile


def test_alarms_of_our_endpoints_go_and_a_persons_own_stay(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    account, cloudwatch = Account(), cloud.client("cloudwatch")
    ours = [
        names.alarm(names.endpoint("acme", "removal", "realtime"), "AllTraffic", "errors"),
        names.alarm(names.function("acme", "removal"), "v12", "errors"),
    ]
    untagged, theirs = names.alarm("theirs--removal--realtime", "AllTraffic", "errors"), "removal of snow"
    tags = {**dict.fromkeys([*ours, theirs], names.tags("acme", "removal", "r")), untagged: []}
    for name, given in tags.items():
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Average", Period=60,
            EvaluationPeriods=1, Threshold=0.01, ComparisonOperator="GreaterThanThreshold", Tags=given,
        )  # fmt: skip
    found = [item for item in removal.find_alarms(account) if "removal" in item.name]
    assert sorted((item.kind, item.name) for item in found) == sorted(("alarm", name) for name in ours)
    removal.remove(account, found, say=lambda line: None)
    left = cloudwatch.describe_alarms(AlarmNames=list(tags))["MetricAlarms"]
    assert sorted(alarm["AlarmName"] for alarm in left) == sorted([theirs, untagged])
    cloudwatch.delete_alarms(AlarmNames=[theirs, untagged])
