"""Sleep: what is done to an endpoint, whoever asks, whatever an earlier attempt left; and when the hours ask."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract import ledger, names
from contract.errors import EndpointBusy, InvalidConfig
from functions import live, scaling, shared, sleep, sleepers, table, tidy, unasked
from tests.functions.conftest import World

CONFIGURATION = "t--digits--v1-00000000"


def hours(begin: int, end: int) -> str:
    """Return the hours from so many hours after now to so many."""
    return "-".join(f"{datetime.now(UTC) + timedelta(hours=each):%H:%M}" for each in (begin, end))


class Endpoint:
    """SageMaker with one endpoint, or none."""

    def __init__(self, real: Any) -> None:
        self.real, self.status, self.deleted = real, "", False
        self.made = datetime.now(UTC) - timedelta(days=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        if not self.status or not EndpointName.endswith("--realtime"):
            return self.real.describe_endpoint(EndpointName=EndpointName)
        return {"EndpointStatus": self.status, "EndpointConfigName": CONFIGURATION, "CreationTime": self.made}

    def delete_endpoint(self, EndpointName: str) -> None:
        self.deleted = True


@pytest.fixture
def endpoint(world: World, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The endpoint of the tenant's champion."""
    fake = Endpoint(world.client("sagemaker"))
    for module in (live, tidy):
        monkeypatch.setattr(module, "client", lambda service: fake if service == "sagemaker" else world.client(service))
    monkeypatch.setattr(scaling, "of_champion", lambda row: [{"target": row["endpoint"]}])
    return fake


def champion(world: World, project: str = "digits", **row: str) -> None:
    common: dict[str, Any] = {
        "package_arn": "arn:p/1", "version": 1, "target": "realtime", "run": "r", "configuration": CONFIGURATION,
        "endpoint": names.endpoint(world.tenant, project, "realtime"),
    }  # fmt: skip
    table.put(ledger.champion_key(world.tenant, project), common | row)


def planned(world: World, *, asleep: bool, **event: Any) -> dict[str, Any]:
    return sleep.handler({"tenant": world.tenant, "project": "digits", "asleep": asleep, "by": "person", **event}, None)


ASLEEP = {"asleep": "2026-11-21T20:00:00Z"}


@pytest.mark.parametrize(
    ("row", "status", "wanted", "verdict", "there"),
    [
        ({}, "InService", True, "sleep", True),
        ({}, "Failed", True, "sleep", True),
        ({}, "Deleting", True, "sleep", False),
        ({}, "", True, "sleep", False),
        (ASLEEP, "", True, "nothing_to_do", None),
        (ASLEEP, "InService", True, "sleep", True),
        ({}, "Updating", True, EndpointBusy, None),
        (ASLEEP, "", False, "wake", False),
        (ASLEEP, "Creating", False, "wake", True),
        (ASLEEP, "InService", False, "wake", True),
        (ASLEEP, "Deleting", False, EndpointBusy, None),
        ({}, "InService", False, "nothing_to_do", None),
        ({}, "", False, "wake", False),
    ],
)
def test_an_endpoint_is_brought_to_what_is_wanted_from_wherever_it_is(
    world: World, endpoint: Endpoint, row: dict[str, str], status: str, wanted: bool, verdict: Any, there: bool | None
) -> None:
    champion(world, **row)
    endpoint.status = status
    if verdict is EndpointBusy:
        with pytest.raises(EndpointBusy):
            planned(world, asleep=wanted)
    else:
        plan = planned(world, asleep=wanted)
        assert (plan["verdict"], plan.get("there")) == (verdict, there)
        assert bool(plan.get("scaling")) is (verdict == "wake")


def test_one_that_failed_to_wake_is_deleted_before_it_is_made_again(world: World, endpoint: Endpoint) -> None:
    champion(world, **ASLEEP)
    endpoint.status = "Failed"
    with pytest.raises(EndpointBusy):
        planned(world, asleep=False)
    assert endpoint.deleted


def test_only_what_has_a_real_time_endpoint_sleeps(world: World, endpoint: Endpoint) -> None:
    with pytest.raises(InvalidConfig, match="a version in service"):
        planned(world, asleep=True)
    champion(world, target="serverless")
    with pytest.raises(InvalidConfig, match="costs nothing when idle"):
        planned(world, asleep=True)


def test_what_a_person_does_holds_and_the_hours_leave_it_alone(world: World, endpoint: Endpoint) -> None:
    endpoint.status = "InService"
    champion(world, sleep=hours(-1, 1), sleep_timezone="UTC")
    assert planned(world, asleep=True, by="hours")["held_until"] == ""
    assert datetime.fromisoformat(planned(world, asleep=True)["held_until"]) > datetime.now(UTC)
    held = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    champion(world, sleep=hours(-1, 1), sleep_timezone="UTC", held_until=held)
    assert planned(world, asleep=True, by="hours")["verdict"] == "nothing_to_do"


def test_what_is_destroyed_is_left_alone(world: World, endpoint: Endpoint) -> None:
    champion(world)
    endpoint.status = "InService"
    assert planned(world, asleep=True, stopped_by=names.DESTROYED)["verdict"] == "nothing_to_do"


def test_each_quarter_of_an_hour_starts_what_is_not_as_its_hours_want_and_nothing_else(
    world: World, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.SLEEP_ARN, world.machine)
    shared.environment.cache_clear()
    night, day = ({"sleep": text, "sleep_timezone": "UTC"} for text in (hours(-1, 1), hours(6, 7)))
    held = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    champion(world, "no-hours")
    champion(world, "awake-by-day", **day)
    champion(world, "awake-at-night", **night)
    champion(world, "woken-at-night", **night, held_until=held)
    champion(world, "asleep-at-night", **night, **ASLEEP)
    champion(world, "asleep-by-day", **day, **ASLEEP)

    def ticked(event: str = "00000000-0000") -> set[str]:
        started = sleepers.handler({"id": event}, None)["started"]
        return {name.split("--", 1)[1].rpartition("-")[0] for name in started}

    assert ticked() == {"awake-at-night--sleep", "asleep-by-day--wake"}
    describe = world.client("stepfunctions").describe_execution
    asked = [json.loads(describe(executionArn=each["executionArn"])["input"]) for each in world.executions()]
    assert {(each["project"], each["asleep"], each["by"]) for each in asked} == {
        ("awake-at-night", True, "hours"),
        ("asleep-by-day", False, "hours"),
    }
    assert ticked() == {"awake-at-night--sleep", "asleep-by-day--wake"}, "a second event of a tick starts nothing twice"
    assert len(world.executions()) == 2
    endpoint.status = "InService"  # of every project: one that sleeps has an endpoint nevertheless
    assert "asleep-at-night--sleep" in ticked("11111111-1111")
    champion(world, "a-mistake", sleep="at night", sleep_timezone="UTC")
    with pytest.raises(RuntimeError, match="a-mistake"):
        ticked("22222222-2222")
    started = [each["name"] for each in world.executions()]
    assert any("asleep-at-night--sleep-22222222" in name for name in started), "one mistake keeps no other model awake"


def test_tidying_up_after_a_deployment_that_failed_leaves_a_sleeping_champion_asleep(
    world: World, endpoint: Endpoint
) -> None:
    champion(world, **ASLEEP)
    endpoint.status = "InService"
    deleted = tidy.handler({"tenant": world.tenant, "project": "digits"}, None)["deleted"]
    assert deleted == [names.endpoint(world.tenant, "digits", "realtime")]


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("row", "made", "asked", "falls"),
    [
        ({}, 30, None, True),
        ({}, 30, 9, True),
        ({}, 30, 0.5, False),  # somebody asked
        ({}, 3, None, False),  # it has just been made
        ({"since": ago(2).isoformat()}, 30, None, False),  # its version is new
        (ASLEEP, 30, None, False),
        ({"sleep": "20:00-20:01"}, 30, None, False),
    ],
    ids=["never-asked", "long-ago", "asked", "just-made", "new-version", "asleep", "by-hours"],
)
def test_a_model_that_nobody_asks_falls_asleep(
    world: World, endpoint: Endpoint, row: dict[str, str], made: float, asked: float | None, falls: bool
) -> None:
    endpoint.status, endpoint.made = "InService", ago(made)
    champion(
        world, **{"since": ago(50).isoformat(), "sleep": "idle 6h", "sleep_timezone": "UTC", "held_until": "", **row}
    )
    found = table.get(ledger.champion_key(world.tenant, "digits"))
    assert found
    if asked is not None:
        dimensions = [
            {"Name": "EndpointName", "Value": found["endpoint"]},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ]
        datum = {"MetricName": "Invocations", "Dimensions": dimensions, "Value": 1.0, "Timestamp": ago(asked)}
        world.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])
    assert unasked.is_idle(found, datetime.now(UTC)) is falls


def test_a_model_that_nobody_asks_is_put_to_sleep_until_somebody_wakes_it(
    world: World, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.SLEEP_ARN, world.machine)
    shared.environment.cache_clear()
    endpoint.status = "InService"
    champion(world, since=ago(50).isoformat(), sleep="idle 6h", sleep_timezone="UTC", held_until="")
    (started,) = sleepers.handler({"id": "00000000-0000"}, None)["started"]
    arn = world.machine.replace(":stateMachine:", ":execution:") + f":{started}"
    asked = json.loads(world.client("stepfunctions").describe_execution(executionArn=arn)["input"])
    assert asked == {"tenant": world.tenant, "project": "digits", "asleep": True, "by": "idle"}
    plan = sleep.handler({**asked, "stopped_by": ""}, None)
    assert (plan["verdict"], plan["held_until"]) == ("sleep", "")
    champion(world, since=ago(0).isoformat(), sleep="idle 6h", sleep_timezone="UTC", held_until="")
    switched = sleep.handler({**asked, "stopped_by": ""}, None)  # while this waited for the lease
    assert switched["verdict"] == "nothing_to_do"
