"""An upload's events start exactly one execution for each version of the object."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from contract import ledger, names
from contract.run import Outcome
from functions import intake
from tests.functions.conftest import Killed, World


def event(world: World, key: str, version: str) -> dict[str, Any]:
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": world.data}, "object": {"key": key, "size": 8, "version-id": version}},
    }


def test_an_upload_starts_one_run_of_that_version(world: World) -> None:
    key, version = world.upload("digits.csv")
    run = intake.handler(event(world, key, version), None)["run"]
    assert run == names.run_for_upload("digits", world.data, key, version)
    (execution,) = world.executions()
    assert execution["name"] == run
    given = world.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(given) == {
        "tenant": world.tenant,
        "project": "digits",
        "upload": f"s3://{world.data}/{key}",
        "version_id": version,
    }
    assert world.row(ledger.upload_key(world.data, key, version))["execution_arn"] == execution["executionArn"]


def test_duplicated_and_reordered_events_start_one_run_for_each_version(world: World) -> None:
    versions = [world.upload("digits.csv", f"a\n{i}\n".encode()) for i in range(3)]
    events = [event(world, *version) for version in versions] * 10
    random.Random(0).shuffle(events)
    runs = {intake.handler(each, None)["run"] for each in events}
    assert sorted(runs) == sorted(execution["name"] for execution in world.executions())
    assert len(runs) == 3


@pytest.mark.parametrize("name", ["a b+c%20.csv", "données 📈.csv", 'it\'s "quoted".csv', "100%.csv"])
def test_hostile_names_start_one_run(world: World, name: str) -> None:
    key, version = world.upload(name)
    for _ in range(2):
        intake.handler(event(world, key, version), None)
    (execution,) = world.executions()
    given = world.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(given)["upload"] == f"s3://{world.data}/{key}"


@pytest.mark.parametrize("path", ["inbox/folder/", "project.toml", "inbox/batch/part.csv", "feedback/x.csv", "inbox/"])
def test_other_objects_start_nothing(world: World, path: str) -> None:
    assert intake.handler(event(world, f"{world.tenant}/digits/{path}", "v1"), None) == {"run": None}
    assert world.executions() == []


def test_a_batch_starts_with_its_manifest(world: World) -> None:
    key, version = world.upload("batch/manifest.json")
    assert intake.handler(event(world, key, version), None)["run"]
    assert len(world.executions()) == 1


@pytest.mark.parametrize(
    ("service", "operation", "after"),
    [
        ("dynamodb", "PutItem", False),
        ("dynamodb", "PutItem", True),
        ("stepfunctions", "StartExecution", False),
        ("stepfunctions", "StartExecution", True),
        ("dynamodb", "UpdateItem", False),
        ("dynamodb", "UpdateItem", True),
    ],
)
def test_a_handler_killed_at_any_write_is_completed_by_the_next_delivery(
    world: World, kill_at: Any, service: str, operation: str, after: bool
) -> None:
    key, version = world.upload("digits.csv")
    kill_at(service, operation, after=after)
    with pytest.raises(Killed):
        intake.handler(event(world, key, version), None)
    for _ in range(2):
        run = intake.handler(event(world, key, version), None)["run"]
    assert [execution["name"] for execution in world.executions()] == [run]
    assert world.row(ledger.upload_key(world.data, key, version))["execution_arn"]


def test_an_execution_that_ended_is_not_started_again(world: World) -> None:
    key, version = world.upload("digits.csv")
    run = names.run_for_upload("digits", world.data, key, version)
    world.execute({"upload": f"s3://{world.data}/{key}", "version_id": version, "more": 1}, name=run)
    assert intake.handler(event(world, key, version), None)["run"] == run
    (execution,) = world.executions()
    assert world.row(ledger.upload_key(world.data, key, version))["execution_arn"] == execution["executionArn"]


@pytest.mark.parametrize("other", [{"upload": "s3://another", "version_id": "1"}, ["no", "request"]])
def test_a_name_that_another_execution_has_loses_no_upload(world: World, other: Any) -> None:
    key, version = world.upload("digits.csv")
    taken = names.run_for_upload("digits", world.data, key, version)
    world.execute(other, name=taken)
    runs = {intake.handler(event(world, key, version), None)["run"] for _ in range(3)}
    (run,) = runs
    assert run == names.run_for_upload("digits", world.data, key, version, taken=1) != taken
    assert sorted(execution["name"] for execution in world.executions()) == sorted([taken, run])
    assert world.row(ledger.upload_key(world.data, key, version))["run"] == run


def test_a_folder_that_names_no_project_is_refused_once_and_told(world: World) -> None:
    key = f"{world.tenant}/My_Digits/inbox/a.csv"
    version = world.put(key, b"x")
    runs = {intake.handler(event(world, key, version), None)["run"] for _ in range(3)}
    (run,) = runs
    assert world.executions() == []
    row = world.run_row(run)
    assert row["status"] == Outcome.REFUSED
    (told,) = world.events()
    assert told["detail-type"] == names.EVENT_RUN_SETTLED
    assert told["detail"]["outcome"] == Outcome.REFUSED
    assert "My_Digits" in told["detail"]["reasons"][0]
    assert told["detail"]["summary"] == told["detail"]["reasons"][0]
    assert world.client("s3").get_object(Bucket=world.data, Key=key)["Body"].read() == b"x"


def test_an_upload_of_a_tenant_that_was_not_added_is_refused_and_begins_once_it_is(world: World) -> None:
    world.remove_tenant()
    key, version = world.upload("digits.csv")
    refused = {intake.handler(event(world, key, version), None)["run"] for _ in range(2)}
    assert world.executions() == []
    (told,) = world.events()
    assert told["detail"]["outcome"] == Outcome.REFUSED
    assert f"tandem tenant add {world.tenant}" in told["detail"]["reasons"][0]
    world.add_tenant()
    run = intake.handler(event(world, key, version), None)["run"]
    assert {run} != refused
    assert [execution["name"] for execution in world.executions()] == [run]


def test_the_arn_of_an_execution_follows_from_the_machine_or_its_alias() -> None:
    machine = "arn:aws:states:us-east-1:1:stateMachine:pipeline"
    expected = "arn:aws:states:us-east-1:1:execution:pipeline:run-1"
    assert intake._execution_arn(machine, "run-1") == expected
    assert intake._execution_arn(f"{machine}:live", "run-1") == expected
