"""A real-time model is scaled by its load, sleeps and wakes: by hand, and by its hours."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import removal
from cli.aws import Account
from cli.errors import Exit
from cli.main import app as main
from contract import ledger, names
from local.chaos.faults import UnhealthyEndpoint
from local.chaos.lab import LAB
from tests.e2e.app import App, held
from tests.e2e.data import table, table_toml
from tests.e2e.load import Load
from tests.e2e.versions import another

PROJECT = "scaling"
ENDPOINT = names.endpoint("acme", PROJECT, "realtime")
HEALTHY = {"income": 2.0, "age": 80, "region": "south"}
PER_INSTANCE = 20  # requests in a minute of the clock, which is 1.2 s


def hours(begin: int, end: int) -> str:
    """Return the hours from so many hours after now to so many."""
    return "-".join(f"{datetime.now(UTC) + timedelta(hours=each):%H:%M}" for each in (begin, end))


@pytest.fixture(scope="module")
def first(app: App) -> str:
    """The package of a version in service, which is scaled."""
    settings = {"target": '"realtime"', "max_instances": 2, "invocations_per_instance": PER_INSTANCE}
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    app.configure(PROJECT, table_toml(epochs=1, more=f"[deploy]\n{lines}"))
    app.settled(app.upload(PROJECT, "rows.csv", table(seed=1)), seconds=240)
    return str(app.champion(PROJECT)["package_arn"])


def tandem(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], prog_name="tandem", env=app.cloud.environment)


def instances(app: App) -> int:
    described = app.cloud.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    return int(described["ProductionVariants"][0]["CurrentInstanceCount"])


def limits(app: App) -> list[tuple[int, int]]:
    """Return the fewest and the most instances of each variant that is scaled."""
    scaling = app.cloud.client("application-autoscaling")
    found = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[names.variant_resource(ENDPOINT, "AllTraffic")]
    )["ScalableTargets"]
    return [(target["MinCapacity"], target["MaxCapacity"]) for target in found]


def calm(app: App) -> bool:
    """Ask once, and cut the fifteen minutes short that the service watches little traffic before it scales in."""
    app.predict(PROJECT, json.dumps({"instances": [HEALTHY]}).encode())
    cloudwatch = app.cloud.client("cloudwatch")
    for alarm in cloudwatch.describe_alarms(AlarmNamePrefix=f"TargetTracking-endpoint/{ENDPOINT}")["MetricAlarms"]:
        if "AlarmLow" in alarm["AlarmName"]:
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="a test")
    time.sleep(0.3)
    return instances(app) == 1


def test_load_brings_an_instance_that_an_update_keeps_and_calm_takes(app: App, first: str) -> None:
    assert limits(app) == [(1, 2)]
    with Load(app, ENDPOINT, HEALTHY) as load:
        app.eventually(lambda: instances(app) == 2)
    assert load.failed == []
    larger = {"target": "realtime", "instance": "ml.m5.large", "max_instances": 3, "concurrency_per_instance": 500.0}
    execution = app.deploy(PROJECT, another(app, first, {**larger, "sleep": hours(6, 7)}))
    assert execution["status"] == "SUCCEEDED", execution  # SageMaker refuses another type for a scaled variant
    assert limits(app) == [(1, 3)]
    assert instances(app) == 2
    app.eventually(lambda: calm(app))


def test_a_person_puts_it_to_sleep_and_wakes_it(app: App, first: str, tmp_path: Any) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps({"instances": [HEALTHY]}))
    asleep = tandem(app, "sleep", f"acme/{PROJECT}")
    assert asleep.exit_code == Exit.GOOD, asleep.output
    assert "The model sleeps until" in asleep.output
    app.eventually(lambda: app.endpoints(PROJECT) == [])
    assert limits(app) == []
    refused = tandem(app, "predict", f"acme/{PROJECT}", str(rows))
    assert refused.exit_code == Exit.FAILED
    assert "The model sleeps until" in refused.output
    assert "tandem wake" in refused.output
    awake = tandem(app, "wake", f"acme/{PROJECT}")
    assert awake.exit_code == Exit.GOOD, awake.output
    assert tandem(app, "predict", f"acme/{PROJECT}", str(rows)).exit_code == Exit.GOOD
    assert limits(app) == [(1, 3)]
    assert "asleep" not in app.champion(PROJECT)


def test_a_sleep_that_somebody_stops_comes_all_the_same(app: App, first: str) -> None:
    with held(app, PROJECT):
        stopped = start(app, asleep=True)
        app.reaches(stopped, "Take lease")
        app.states.stop_execution(executionArn=stopped)
    assert app.eventually(partial(_is, app, True))


def test_an_endpoint_that_never_became_healthy_is_made_again(app: App, first: str) -> None:
    with LAB.inject(UnhealthyEndpoint(endpoint=ENDPOINT)):
        failed = app.ended(start(app, asleep=False))
        assert failed["status"] == "FAILED", failed
        assert "asleep" in app.champion(PROJECT)
    assert app.ended(start(app, asleep=False))["status"] == "SUCCEEDED"
    assert _is(app, asleep=False)


def test_who_is_asked_while_sleep_waits_is_not_idle_any_more(app: App, first: str) -> None:
    _set_hours(app, "idle 1h")
    ended = app.ended(start(app, asleep=True, by="idle"))
    assert json.loads(ended["output"]) == {"asleep": False, "changed": False}
    assert _is(app, asleep=False)


def start(app: App, *, asleep: bool, by: str = "person") -> str:
    """Start the machine, as the command line and the schedule do; return the execution's ARN."""
    request = {"tenant": "acme", "project": PROJECT, "asleep": asleep, "by": by}
    started = app.states.start_execution(stateMachineArn=app.outputs[names.OUTPUT_SLEEP_ARN], input=json.dumps(request))
    return str(started["executionArn"])


def test_its_hours_put_it_to_sleep_and_wake_it(app: App, first: str) -> None:
    app.eventually(lambda: not app.item(ledger.lease_key("acme", PROJECT)))
    for begin, end, asleep in ((-1, 1, True), (6, 7, False)):
        _set_hours(app, hours(begin, end))
        _tick(app)
        app.eventually(partial(_is, app, asleep))
    assert limits(app) == [(1, 3)]
    assert _tick(app) == [], "it is as it is to be"
    _set_hours(app, "idle 1h")
    assert _tick(app) == [], "it was made within the hour"


def test_a_removal_stops_the_scaling_of_our_endpoints(app: App, account: Account, first: str) -> None:
    found = [item for item in removal.find_scaling(account) if PROJECT in item.name]
    assert [item.name for item in found] == [names.variant_resource(ENDPOINT, "AllTraffic")]
    for _ in range(2):  # once more, and it is gone already
        removal.remove(account, found, say=lambda line: None)
    assert limits(app) == []


def _is(app: App, asleep: bool) -> bool:
    """Say whether the model is asleep, or awake, by its row and by its endpoint."""
    return ("asleep" in app.champion(PROJECT)) is asleep and bool(app.endpoints(PROJECT)) is not asleep


def _set_hours(app: App, text: str) -> None:
    app.dynamodb.update_item(
        TableName=app.table,
        Key={name: {"S": value} for name, value in ledger.champion_key("acme", PROJECT).items()},
        UpdateExpression="SET sleep = :hours REMOVE held_until",
        ExpressionAttributeValues={":hours": {"S": text}},
    )


def _tick(app: App) -> list[str]:
    """Do what the schedule does; return the executions of this project that it started."""
    client = app.cloud.client("lambda")
    (name,) = [
        each["FunctionName"] for each in client.list_functions()["Functions"] if "Sleepers" in each["FunctionName"]
    ]
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"id": uuid.uuid4().hex}))
    document = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return [each for each in document["started"] if f"--{PROJECT}--" in each]
