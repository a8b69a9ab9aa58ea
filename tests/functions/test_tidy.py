"""Tidy up: what neither the champion's row nor its endpoint names goes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import batch, ledger, names
from contract.errors import EndpointBusy
from functions import deployment, live, rollout, table, tidy
from tests.functions.conftest import World

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"
ROLE = "arn:aws:iam::123456789012:role/model"


def make(world: World, *unique: str, project: str = "digits") -> None:
    """Create models and configurations, as deployments name them."""
    sagemaker = world.client("sagemaker")
    for each in unique:
        name = f"{world.tenant}--{project}--{each}"
        sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
        size = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        variant = {"VariantName": rollout.VARIANT, "ModelName": name, "ServerlessConfig": size}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def there(world: World) -> dict[str, set[str]]:
    """Return the names of the tenant's configurations, models and alarms."""
    sagemaker, prefix = world.client("sagemaker"), f"{world.tenant}--"
    found = {
        "configs": [each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]],
        "models": [each["ModelName"] for each in sagemaker.list_models()["Models"]],
        "alarms": [a["AlarmName"] for a in world.client("cloudwatch").describe_alarms()["MetricAlarms"]],
    }
    return {
        kind: {name.removeprefix(prefix) for name in list_ if name.startswith(prefix)} for kind, list_ in found.items()
    }


def champion(world: World, endpoint: str = "", **row: str) -> None:
    values: dict[str, Any] = {"package_arn": "arn:p/1", "version": 1, "endpoint": endpoint, **row}
    table.put(ledger.champion_key(world.tenant, "digits"), values)


def tidied(world: World, **event: Any) -> list[str]:
    return tidy.handler({"tenant": world.tenant, "project": "digits", **event}, None)["deleted"]


def test_a_champion_without_its_endpoint_keeps_its_configuration_and_nothing_else_stays(world: World) -> None:
    kept, gone, staged = "v1-00000000", "v2-11111111", "v2-11111111-s"
    make(world, kept, gone, staged)
    make(world, "v1-22222222", project="other")
    make(world, "mine")
    live = names.endpoint(world.tenant, "digits", "serverless")
    champion(world, live, configuration=f"{world.tenant}--digits--{kept}")
    first = tidied(world)
    assert len(first) == 4
    expected = {"digits--v1-00000000", "other--v1-22222222", "digits--mine"}
    assert there(world) == {"configs": expected, "models": expected, "alarms": set()}
    assert tidied(world) == []


def test_alarms_of_variants_that_serve_and_were_made_by_the_deployment_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(world, "v1-00000000")
    live = names.endpoint(world.tenant, "digits", "realtime")
    champion(world, live, configuration=f"{world.tenant}--digits--v1-00000000")
    for variant, what in (("AllTraffic", "errors"), ("AllTraffic", "latency"), ("Shadow", "errors")):
        world.client("cloudwatch").put_metric_alarm(
            AlarmName=names.alarm(live, variant, what), Namespace="AWS/SageMaker", MetricName="ModelLatency",
            Statistic="Average", Period=60, EvaluationPeriods=1, Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    tidied(world)
    assert there(world)["alarms"] == {"digits--realtime--AllTraffic--errors", "digits--realtime--AllTraffic--latency"}
    tidied(world, alarms=[names.alarm(live, "AllTraffic", "errors"), names.alarm(live, "Shadow", "errors")])
    assert there(world)["alarms"] == {"digits--realtime--AllTraffic--errors"}


def test_without_a_champion_everything_goes(world: World) -> None:
    make(world, "v1-00000000", "v1-00000000-w")
    tidied(world)
    assert there(world) == {"configs": set(), "models": set(), "alarms": set()}


@pytest.mark.parametrize(
    ("statuses", "deleted"),
    [
        ({"serverless": "InService", "realtime": "InService", "staging": "Failed"}, ["staging", "realtime"]),
        ({"serverless": "InService", "staging": "Deleting"}, []),
        ({"serverless": "Updating"}, EndpointBusy),
        ({"serverless": "InService", "staging": "Creating"}, EndpointBusy),
    ],
    ids=["others", "going", "changing", "staging-not-there-yet"],
)
def test_endpoints_that_the_champion_does_not_need_go_as_soon_as_they_can(
    world: World, monkeypatch: pytest.MonkeyPatch, statuses: dict[str, str], deleted: Any
) -> None:
    fake = Endpoints(world.client("sagemaker"), statuses)
    for module in (live, tidy):
        monkeypatch.setattr(module, "client", lambda service: fake if service == "sagemaker" else world.client(service))
    champion(world, names.endpoint(world.tenant, "digits", "serverless"))
    if deleted is EndpointBusy:
        with pytest.raises(EndpointBusy):
            tidied(world)
    else:
        assert [name.rpartition("--")[2] for name in tidied(world)] == deleted


class Endpoints:
    """SageMaker with endpoints in given states."""

    def __init__(self, real: Any, statuses: dict[str, str]) -> None:
        self.real, self.statuses = real, statuses

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        kind = EndpointName.rpartition("--")[2]
        if kind not in self.statuses:
            return self.real.describe_endpoint(EndpointName=EndpointName)
        return {"EndpointStatus": self.statuses[kind], "EndpointConfigName": "config-1"}

    def delete_endpoint(self, EndpointName: str) -> None:
        """Take it as deleted."""


def test_a_stopped_deployment_puts_back_only_what_is_not_as_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"tenant": world.tenant, "project": "digits", "run": "", "package_arn": "", "stopped": "arn:execution"}
    assert deployment.handler(event, None)["verdict"] == "nothing_to_do"
    champion(world, names.endpoint(world.tenant, "digits", "serverless"), configuration="config-1")
    for status, verdict in (("InService", "nothing_to_do"), ("Updating", EndpointBusy), ("Failed", "put back")):
        fake = Endpoints(world.client("sagemaker"), {"serverless": status})
        monkeypatch.setattr(live, "client", lambda service, fake=fake: fake)
        monkeypatch.setattr(deployment, "plan", lambda *_, **__: {"verdict": "put back"})
        if verdict is EndpointBusy:
            with pytest.raises(EndpointBusy):
                deployment.handler(event, None)
        else:
            assert deployment.handler(event, None)["verdict"] == verdict
    destroyed = {**event, "stopped_by": names.DESTROYED}
    assert deployment.handler(json.loads(json.dumps(destroyed)), None)["verdict"] == "nothing_to_do"


def test_models_that_batches_left_go_and_those_of_batches_that_run_stay(world: World) -> None:
    make(world, "batch-0a", "batch-0b", "batch-0c")
    champion(world)
    for each, status in (("0a", batch.ANSWERED), ("0b", batch.RUNNING)):
        table.put(ledger.batch_key(world.tenant, "digits", each), {"status": status})
    gone = {f"{world.tenant}--digits--batch-{each}" for each in ("0a", "0c")}
    assert gone <= set(tidied(world))
    assert {name for name in there(world)["models"] if name.startswith("digits--batch-")} == {"digits--batch-0b"}
