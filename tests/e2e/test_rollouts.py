"""How a new version gets its traffic: in steps, from the shadow, beside the champion; and how it is taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.errors import Exit
from cli.main import app as main
from contract import keys, ledger, names
from contract.prices import load_prices
from contract.run import DeploymentStatus
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.load import Load
from tests.e2e.test_state_by_state import Machine
from tests.e2e.versions import LIMIT, another, archive_of, poisoned

PROJECT = "rollouts"
ENDPOINT = names.endpoint("acme", PROJECT, "realtime")
HEALTHY = {"income": 2.0, "age": 80, "region": "south"}
STRANGE = {**HEALTHY, "income": LIMIT * 2}
CANARY = {"target": "realtime", "instances": 2, "rollout": "canary", "step_percent": 50, "bake_minutes": 3}


@pytest.fixture(scope="module")
def first(app: App) -> str:
    """The package of a version in service at a real-time endpoint, which a run with better rows beats."""
    app.configure(PROJECT, table_toml(more='[deploy]\ntarget = "realtime"'))
    app.settled(app.upload(PROJECT, "rows.csv", table(seed=1, age_counts=False)))
    return str(app.champion(PROJECT)["package_arn"])


def made(app: App) -> tuple[int, int, list[str]]:
    """Return how many configurations and models the project has, and the names of its alarms."""
    sagemaker, prefix = app.cloud.client("sagemaker"), f"acme--{PROJECT}--v"
    alarms = app.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"acme--{PROJECT}--")["MetricAlarms"]
    return (
        len(sagemaker.list_endpoint_configs(NameContains=prefix)["EndpointConfigs"]),
        len(sagemaker.list_models(NameContains=prefix)["Models"]),
        sorted(alarm["AlarmName"] for alarm in alarms),
    )


def alarms(*variants: str, kinds: tuple[str, ...] = ("errors",)) -> list[str]:
    return sorted(names.alarm(ENDPOINT, variant, kind) for variant in variants for kind in kinds)


def stage(app: App, package: str) -> str:
    described = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=package)
    return str(described["ModelLifeCycle"]["Stage"])


def test_no_request_fails_while_a_healthy_version_takes_over_in_two_steps(app: App, first: str) -> None:
    second = another(app, first, {**CANARY, "max_latency_ms": 20_000})
    with Load(app, ENDPOINT, HEALTHY) as load:
        execution = app.deploy(PROJECT, second)
        back = app.deploy(PROJECT, first, at_once=True)
        load.wait_for(10_000)
    assert [execution["status"], back["status"]] == ["SUCCEEDED"] * 2, (execution, back)
    assert load.failed == []
    assert load.answered[200] >= 10_000
    assert app.champion(PROJECT)["package_arn"] == first
    assert made(app) == (1, 1, alarms("AllTraffic", kinds=("errors",)))


def test_a_version_that_breaks_in_service_goes_back_by_itself(app: App, first: str) -> None:
    champion = app.champion(PROJECT)
    bad = another(app, first, {**CANARY, "max_error_percent": 5.0}, archive=poisoned(archive_of(app, first)))
    with Load(app, ENDPOINT, HEALTHY, connections=1) as healthy, Load(app, ENDPOINT, STRANGE, connections=1) as strange:
        execution = app.deploy(PROJECT, bad)
        strange.failed.clear()
        healthy.wait_for(healthy.answered.total() + 50)
    assert execution["status"] == "FAILED", execution
    assert "errors" in execution["cause"], execution["cause"]
    assert app.champion(PROJECT) == champion
    assert strange.answered[500] + strange.answered[424] > 0, "it was in service, for some requests"
    assert strange.failed == [], "and is not any more"
    assert healthy.answered.keys() == {200}, healthy.failed[:3]
    assert made(app)[:2] == (1, 1)


def test_a_shadow_answers_a_copy_of_requests_and_then_takes_over(app: App, first: str) -> None:
    second = another(app, first, {"target": "realtime", "shadow_percent": 100, "shadow_minutes": 2})
    with Load(app, ENDPOINT, HEALTHY, connections=1) as load:
        execution = app.deploy(PROJECT, second)
    assert execution["status"] == "SUCCEEDED", execution
    assert load.failed == []
    assert load.by.keys() == {"AllTraffic"}
    assert app.champion(PROJECT)["package_arn"] == second
    assert made(app) == (1, 1, alarms("AllTraffic"))


def test_a_version_that_breaks_in_the_shadow_is_never_seen(app: App, first: str) -> None:
    champion = app.champion(PROJECT)
    shadow = {"target": "realtime", "shadow_percent": 100, "shadow_minutes": 5}
    bad = another(app, first, shadow, archive=poisoned(archive_of(app, first)))
    with Load(app, ENDPOINT, STRANGE, connections=1) as load:
        execution = app.deploy(PROJECT, bad)
    assert execution["status"] == "FAILED", execution
    assert execution["error"] == "AlarmWentOff", execution
    assert load.failed == []
    assert load.answered[200] > 0
    assert app.champion(PROJECT) == champion
    assert made(app)[:2] == (1, 1)


def test_a_challenger_keeps_its_share_until_it_is_promoted(app: App, first: str) -> None:
    app.deploy(PROJECT, first, at_once=True)
    second = another(app, first, {"target": "realtime", "ab_percent": 50, "bake_minutes": 1})
    execution = app.deploy(PROJECT, second)
    assert execution["status"] == "SUCCEEDED", execution
    assert json.loads(execution["output"])["status"] == DeploymentStatus.CHALLENGING
    told = CliRunner().invoke(main, ["--json", "cost", f"acme/{PROJECT}"], env=app.cloud.environment)
    serving = json.loads(told.stdout)["serving"]
    assert serving["machines"] == "1 x ml.c5.large, 1 x ml.c5.large"
    assert serving["hourly"] == pytest.approx(2 * load_prices().hosting["ml.c5.large"])
    assert 0 < serving["usd"] < serving["hourly"]
    champion = app.champion(PROJECT)
    assert champion["package_arn"] == first
    assert champion["challenger"]["package_arn"] == {"S": second}
    assert tandem(app, "reject", f"acme/{PROJECT}", second.rpartition("/")[2]) == Exit.FAILED, "it is in service"
    with Load(app, ENDPOINT, HEALTHY) as load:
        load.wait_for(200)
    assert load.failed == []
    assert load.by["AllTraffic"] > 50
    assert load.by["Challenger"] > 50
    assert made(app) == (1, 2, alarms("AllTraffic", "Challenger"))
    assert (stage(app, first), stage(app, second)) == ("Production", "Staging")
    assert tandem(app, "promote", f"acme/{PROJECT}") == Exit.GOOD
    assert tandem(app, "promote", f"acme/{PROJECT}") == Exit.NOT_FOUND
    promoted = app.champion(PROJECT)
    assert promoted["package_arn"] == second
    assert "challenger" not in promoted
    assert (stage(app, first), stage(app, second)) == ("Archived", "Production")
    assert made(app) == (1, 1, alarms("AllTraffic"))


def test_a_run_can_end_with_a_challenger_and_a_rollback_without_a_version_ends_the_test(app: App, first: str) -> None:
    app.deploy(PROJECT, first, at_once=True)
    assert tandem(app, "rollback", f"acme/{PROJECT}") == Exit.NOT_FOUND
    app.configure(PROJECT, table_toml(more='[deploy]\ntarget = "realtime"\nab_percent = 20\nbake_minutes = 1'))
    run = app.settled(app.upload(PROJECT, "better.csv", table(seed=2)))
    assert run["outcome"] == "DEPLOYED", run
    assert run["reasons"][-1].startswith("It answers a share of requests beside the champion")
    assert run["endpoint"] is None, "the champion's is the one in service"
    assert app.champion(PROJECT)["challenger"]["run"] == {"S": run["run"]}
    assert tandem(app, "rollback", f"acme/{PROJECT}") == Exit.GOOD
    champion = app.champion(PROJECT)
    assert champion["package_arn"] == first
    assert "challenger" not in champion
    assert made(app) == (1, 1, alarms("AllTraffic"))


def test_requests_and_answers_are_captured_below_the_project(app: App, first: str) -> None:
    captured = keys.capture_prefix("acme", PROJECT)
    execution = app.deploy(PROJECT, another(app, first, {"target": "realtime", "capture_percent": 100}))
    assert execution["status"] == "SUCCEEDED", execution
    assert app.listing(captured) == [], "golden samples are nobody's requests"
    app.predict(PROJECT, json.dumps({"instances": [HEALTHY]}).encode())
    record = json.loads(app.read(app.eventually(lambda: app.listing(captured))[0]).splitlines()[0])
    assert json.loads(record["captureData"]["endpointInput"]["data"]) == {"instances": [HEALTHY]}


def tandem(app: App, *arguments: str) -> int:
    """Call the command line; return its exit code."""
    return CliRunner().invoke(main, [*arguments], prog_name="tandem", env=app.cloud.environment).exit_code


def test_a_deployment_that_is_stopped_puts_the_champion_back_and_gives_its_lease(app: App, first: str) -> None:
    app.deploy(PROJECT, first, at_once=True)
    champion = app.champion(PROJECT)
    arn = app.start_deployment(PROJECT, another(app, first, CANARY))
    app.reaches(arn, "Wait for endpoint")
    app.states.stop_execution(executionArn=arn, cause="a person's mind changed")
    tidied = app.eventually(lambda: _after(app, arn))
    assert app.ended(tidied)["status"] == "SUCCEEDED"
    assert app.champion(PROJECT)["package_arn"] == first
    assert app.eventually(lambda: not app.item(ledger.lease_key("acme", PROJECT)))
    serving = app.cloud.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert serving["EndpointConfigName"] == app.champion(PROJECT)["configuration"]
    assert app.endpoints(PROJECT) == [champion["endpoint"]]
    assert made(app)[:2] == (1, 1)


def _after(app: App, stopped: str) -> str:
    """Return the execution that the end of another one started; empty before it does."""
    for execution in app.executions(app.deployment):
        described = app.states.describe_execution(executionArn=execution["executionArn"])
        if json.loads(described["input"]).get("detail", {}).get("executionArn") == stopped:
            return str(execution["executionArn"])
    return ""


def test_an_endpoint_that_failed_is_deleted_and_made_again_as_it_was(app: App, first: str) -> None:
    app.deploy(PROJECT, first, at_once=True)
    machine, served = Machine(app, app.deployment), app.champion(PROJECT)["configuration"]
    tags = names.tags("acme", PROJECT, "put-back")
    plan = {"deployment": {"endpoint": ENDPOINT, "previous_config": served, "tags": tags}}
    assert machine.after("Delete failed endpoint", plan) == "Put endpoint back"
    assert machine.after("Put endpoint back", plan) == "Tidy up"
    sagemaker = app.cloud.client("sagemaker")

    def back() -> bool:
        found = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        return (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", served)

    assert app.eventually(back)


def test_another_kind_of_target_gets_an_endpoint_of_its_own_and_the_old_one_goes(app: App, first: str) -> None:
    with Load(app, ENDPOINT, HEALTHY, connections=1) as load:
        execution = app.deploy(PROJECT, another(app, first, {"target": "serverless"}))
    assert execution["status"] == "SUCCEEDED", execution
    assert load.answered[200] > 0
    app.eventually(lambda: app.endpoints(PROJECT) == [names.endpoint("acme", PROJECT, "serverless")])
    answer: Any = app.predict(PROJECT, json.dumps({"instances": [HEALTHY]}).encode())
    assert answer["predictions"]
    assert made(app) == (1, 1, [])
    back = app.deploy(PROJECT, first, at_once=True)
    assert back["status"] == "SUCCEEDED", back
    assert app.champion(PROJECT)["endpoint"] == ENDPOINT
