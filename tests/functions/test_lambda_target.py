"""Traffic of a function that serves a model: steps, alarms, the way back, and what is tidied up."""

from __future__ import annotations

from typing import Any

import pytest

from contract import names
from contract.config import Deploy
from contract.errors import AlarmWentOff, GoldenSamplesDiffer
from contract.golden import GoldenSample
from contract.lambda_calls import ALIAS
from functions import golden, lambda_traffic, lambda_versions, predict, rollout, tidy
from functions.api import Request
from tests.functions.conftest import World
from tests.local.functions import packed, role

ANSWER = '{"predictions": [{"values": {"price": 3.5}}]}'
GOOD = f"""
def handler(event, context):
    return {{'status': 200, 'content_type': 'application/json', 'body': '{ANSWER}'}}
"""
BAD = "def handler(event, context):\n    raise ValueError('broken')"
ALTERED = "class InvalidModel(Exception): ...\ndef handler(event, context):\n    raise InvalidModel('it was altered')"
REFUSING = "def handler(event, context):\n    return {'status': 400, 'content_type': 'application/json', 'body': '{}'}"


class Served:
    """A project's function, from a zip, with a published version for each program."""

    def __init__(self, world: World, *programs: str) -> None:
        self.client = world.client("lambda")
        self.name = names.function(world.tenant, world.project)
        for number, program in enumerate(programs):
            if number:
                self.client.update_function_code(FunctionName=self.name, ZipFile=packed(program))
            else:
                self.client.create_function(
                    FunctionName=self.name, Role=role(world.client), Code={"ZipFile": packed(program)},
                    Runtime="python3.12", Handler="app.handler",
                )  # fmt: skip
            self.client.publish_version(FunctionName=self.name)

    def alias(self) -> tuple[str, dict[str, float]]:
        found = self.client.get_alias(FunctionName=self.name, Name=ALIAS)
        return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})

    def versions(self) -> list[str]:
        return [each["Version"] for each in self.client.list_versions_by_function(FunctionName=self.name)["Versions"]]


def plan(world: World, **settings: Any) -> dict[str, Any]:
    deploy = Deploy(target="lambda", **settings)
    made = rollout.function_plan(world.tenant, world.project, deploy, "0" * 64, at_once=False)
    return {**made, "tags": names.tags(world.tenant, world.project, "r-1")}


def made(version: str, previous: str | None, *alarms: str) -> dict[str, Any]:
    return {"version": version, "previous": previous, "alarms": list(alarms)}


def shift(deployment: dict[str, Any], version: dict[str, Any], step: int, *, back: bool = False) -> dict[str, Any]:
    return lambda_traffic.handler({"deployment": deployment, "made": version, "step": step, "back": back}, None)


def test_the_first_version_gets_all_traffic_at_once(world: World) -> None:
    served = Served(world, GOOD)
    assert shift(plan(world, rollout="canary"), made("1", None), 0)["done"]
    assert served.alias() == ("1", {})


def test_a_canary_gets_its_share_then_all_and_is_watched_after_each(world: World) -> None:
    served, canary = Served(world, GOOD, GOOD), plan(world, rollout="canary", step_percent=20)
    shift(canary, made("1", None), 0)
    steps, step = [], 0
    for _ in range(3):
        told = shift(canary, made("2", "1"), step)
        step = told["step"]
        steps.append((told["percent"], told["done"], served.alias()))
    assert steps == [(20, False, ("1", {"2": 0.2})), (100, False, ("2", {})), (100, True, ("2", {}))]


def test_all_at_once_is_not_watched(world: World) -> None:
    served = Served(world, GOOD, GOOD)
    shift(plan(world), made("1", None), 0)
    assert shift(plan(world), made("2", "1"), 0)["done"]
    assert served.alias() == ("2", {})


def test_a_linear_rollout_goes_in_equal_steps(world: World) -> None:
    assert plan(world, rollout="linear", step_percent=30)["steps"] == [30, 60, 90, 100]


def test_a_version_that_fails_sets_off_its_alarm_and_the_champion_gets_its_traffic_back(world: World) -> None:
    served, canary = Served(world, GOOD, BAD), plan(world, rollout="canary", step_percent=50)
    shift(canary, made("1", None), 0)
    (alarm,) = lambda_versions.alarms(canary, "2")
    world.client("cloudwatch").put_metric_alarm(**alarm)
    challenger = made("2", "1", alarm["AlarmName"])
    shift(canary, challenger, 0)

    def keep_asking() -> None:
        for _ in range(100):
            served.client.invoke(FunctionName=f"{served.name}:{ALIAS}", Payload="{}")
            lambda_traffic.look(challenger["alarms"])

    with pytest.raises(AlarmWentOff, match=alarm["AlarmName"]):
        keep_asking()
    assert served.alias() == ("1", {"2": 0.5})
    shift(canary, challenger, 1, back=True)
    assert served.alias() == ("1", {})
    world.client("cloudwatch").delete_alarms(AlarmNames=[alarm["AlarmName"]])


def test_a_first_version_that_failed_leaves_no_alias(world: World) -> None:
    served = Served(world, GOOD)
    shift(plan(world), made("1", None), 0)
    shift(plan(world), made("1", None), 1, back=True)
    assert lambda_versions.alias_version(served.name) is None
    shift(plan(world), made("1", None), 1, back=True)  # again, as a retry does


def test_what_the_alias_does_not_name_is_tidied_up(world: World) -> None:
    served = Served(world, GOOD, BAD, GOOD)
    shift(plan(world), made("3", None), 0)
    live = f"{served.name}:{ALIAS}"
    assert set(tidy.tidy(world.tenant, world.project, live, "")) == {f"{served.name}:1", f"{served.name}:2"}
    assert served.versions() == ["$LATEST", "3"]
    assert list(tidy.tidy(world.tenant, world.project, live, "")) == []
    elsewhere = names.endpoint(world.tenant, world.project, "serverless")
    assert list(tidy.tidy(world.tenant, world.project, elsewhere, "")) == [served.name]
    assert lambda_versions.describe(served.name) is None


def test_golden_samples_are_asked_of_a_version(world: World) -> None:
    served = Served(world, GOOD, BAD, REFUSING, ALTERED)
    sample = GoldenSample(name="row 1", content_type="application/json", body="{}", outputs={"price": 3.5})
    assert golden.check(f"{served.name}:1", sample, tolerance=0.0) == 0.0
    with pytest.raises(GoldenSamplesDiffer, match=r"the function failed: ValueError$"):
        golden.check(f"{served.name}:2", sample, tolerance=0.0)
    with pytest.raises(GoldenSamplesDiffer, match="answered 400"):
        golden.check(f"{served.name}:3", sample, tolerance=0.0)
    with pytest.raises(GoldenSamplesDiffer, match="the function failed: InvalidModel: it was altered"):
        golden.check(f"{served.name}:4", sample, tolerance=0.0)


@pytest.mark.parametrize(("program", "status"), [(GOOD, 200), (REFUSING, 400), (BAD, 500)], ids=["ok", "no", "broken"])
def test_the_public_api_calls_the_alias(world: World, program: str, status: int) -> None:
    served = Served(world, program)
    shift(plan(world), made("1", None), 0)
    headers = {"content-type": "application/json"}
    request = Request(
        id="r", resource="", tenant=world.tenant, project=world.project, key_id="k", headers=headers, body=b"{}"
    )
    predict.client.cache_clear()
    response = predict.ask_function(f"{served.name}:{ALIAS}", request)
    assert (response.status, response.rows) == (status, int(status == 200))
    predict.client.cache_clear()


def test_alarms_look_at_what_one_version_answers_through_the_alias(world: World) -> None:
    settings = {"max_latency_ms": 200, "max_error_percent": 2.0, "bake_minutes": 10}
    errors, latency = lambda_versions.alarms(plan(world, **settings), "7")
    (failed, asked, share) = errors["Metrics"]
    where = {each["Name"]: each["Value"] for each in failed["MetricStat"]["Metric"]["Dimensions"]}
    name = names.function(world.tenant, world.project)
    assert where == {"FunctionName": name, "Resource": f"{name}:{ALIAS}", "ExecutedVersion": "7"}
    assert (share["Expression"], errors["Threshold"]) == ("100 * errors / invocations", 2.0)
    assert asked["MetricStat"]["Metric"]["MetricName"] == "Invocations"
    assert (errors["EvaluationPeriods"], errors["DatapointsToAlarm"]) == (10, 1), "any minute counts"
    assert (latency["Metrics"][0]["MetricStat"]["Stat"], latency["Threshold"]) == ("p99", 200.0)
    assert all(names.ALARM.fullmatch(each["AlarmName"]) for each in (errors, latency)), "tandem destroy finds them"
