"""An account has so many machines of a type: a run that can have none is refused, one that must share waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cli import checks
from cli.aws import Account
from contract import ledger, quotas
from contract.run import RUNNING, Outcome
from local.cloud import Cloud
from tests.e2e.app import App
from tests.e2e.data import table, table_toml

INSTANCE = "ml.m5.4xlarge"
NAME = quotas.name_of("training", INSTANCE)
TOML = table_toml().replace("ml.m5.xlarge", INSTANCE)


@pytest.fixture
def quota(app: App, cloud: Cloud) -> Iterator[Callable[[int], None]]:
    """Set the account's quota of a type that no other test uses."""

    def to(limit: int | None) -> None:
        cloud.quotas.set(NAME, limit)
        app.dynamodb.delete_item(TableName=app.table, Key=_typed(ledger.QUOTAS_KEY))  # what runs remember of it

    yield to
    to(None)


def _typed(key: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in key.items()}


def _hold(app: App, holder: str, status: str) -> None:
    """Have another run hold the one machine, among what runs of other tests hold."""
    app.dynamodb.put_item(TableName=app.table, Item={**_typed(ledger.run_key(holder)), "status": {"S": status}})
    change = {"TableName": app.table, "Key": _typed(ledger.MACHINES_KEY)}
    there = {"ExpressionAttributeValues": {":none": {"M": {}}, ":one": {"N": "1"}}}
    app.dynamodb.update_item(
        **change, **there, UpdateExpression="SET held = if_not_exists(held, :none) ADD version :one"
    )
    named = {"ExpressionAttributeNames": {"#run": holder}}
    one = {"ExpressionAttributeValues": {":held": {"M": {NAME: {"N": "1"}}}, ":one": {"N": "1"}}}
    app.dynamodb.update_item(**change, **named, **one, UpdateExpression="SET held.#run = :held ADD version :one")


def test_a_run_that_the_account_may_have_no_machine_for_is_refused_with_how_to_ask_for_one(
    app: App, quota: Callable[[int], None], account: Account
) -> None:
    quota(0)
    project = app.project()
    app.configure(project, TOML)
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.REFUSED
    assert f"1 x {NAME} is wanted, and the account's quota is 0" in run["reasons"][0]
    assert "aws service-quotas request-service-quota-increase" in run["reasons"][0]
    looked = checks.machines(account)
    assert looked.status == checks.MISSING
    assert f"acme/{project} would be refused: 1 x {NAME}" in looked.fix
    assert f"{NAME}: 0, 0 in use, acme/{project} wants 1" in looked.found


def test_a_run_waits_for_the_last_machine_until_the_run_that_holds_it_has_ended(
    app: App, quota: Callable[[int], None]
) -> None:
    quota(1)
    project = app.project()
    app.configure(project, TOML)
    holder = f"{project}-holder"
    _hold(app, holder, RUNNING)
    run = app.upload(project, "rows.csv", table())
    arn = str(app.eventually(lambda: app.row(run).get("execution_arn")))
    app.reaches(arn, "Wait for machines")
    _hold(app, holder, Outcome.FAILED)
    app.reaches(arn, "Train on demand")
    held = app.dynamodb.get_item(TableName=app.table, Key=_typed(ledger.MACHINES_KEY))["Item"]["held"]["M"]
    assert held[run]["M"][NAME] == {"N": "1"}
    assert holder not in held
    app.states.stop_execution(executionArn=arn)
    assert app.settled(run)["outcome"] == Outcome.STOPPED
    held = app.dynamodb.get_item(TableName=app.table, Key=_typed(ledger.MACHINES_KEY))["Item"]["held"]["M"]
    assert run not in held
