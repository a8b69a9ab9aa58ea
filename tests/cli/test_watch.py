"""Runs are found, followed and told of through the AWS APIs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from cli import ending, ledger, watch
from cli.aws import Account, Installation
from cli.errors import Exit, NotFound, Unwatched
from cli.follow import Progress
from cli.options import Context, Options
from cli.render import Output
from cli.watch import LOG_GROUPS, LogTail, Watcher
from contract import ledger as rows
from local.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/any"


@pytest.fixture
def account(cloud: Cloud, account: Account) -> Iterator[Account]:
    """An account with an empty ledger of its own."""
    table = f"ledger-{uuid.uuid4().hex}"
    text = [("pk", "S"), ("sk", "S"), ("project", "S"), ("started", "S")]
    cloud.client("dynamodb").create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in text],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": rows.BY_PROJECT,
                "KeySchema": [
                    {"AttributeName": "project", "KeyType": "HASH"},
                    {"AttributeName": "started", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    made = account
    made.__dict__["installation"] = Installation(
        data_bucket="data",
        artifacts_bucket="artifacts",
        ledger_table=table,
        pipeline_arn="arn:aws:states:us-east-1:123456789012:stateMachine:none",
        deployment_arn="arn:aws:states:us-east-1:123456789012:stateMachine:none",
        topic_arn="arn:aws:sns:us-east-1:123456789012:none",
    )
    yield made
    cloud.client("dynamodb").delete_table(TableName=table)


def _put(account: Account, run: str, **values: Any) -> None:
    account.table().put_item(Item={**rows.run_key(run), "run": run, **values})


@pytest.fixture
def execute(cloud: Cloud) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Start an execution of a definition; return its ARN."""
    states = cloud.client("stepfunctions")
    machines = []

    def start(definition: dict[str, Any]) -> str:
        name = f"cli-{uuid.uuid4().hex}"
        machine = states.create_state_machine(
            name=name, definition=json.dumps({"QueryLanguage": "JSONata", **definition}), roleArn=ROLE
        )["stateMachineArn"]
        machines.append(machine)
        return str(states.start_execution(stateMachineArn=machine, name="one", input="{}")["executionArn"])

    yield start
    for machine in machines:
        states.delete_state_machine(stateMachineArn=machine)


def test_runs_of_a_project_come_newest_first(account: Account) -> None:
    _put(account, "r-1", project="acme/digits", started="2026-11-21T10:00:00Z", status="DEPLOYED", usd=Decimal("0.02"))
    _put(account, "r-2", project="acme/digits", started="2026-11-21T11:00:00Z", status="RUNNING")
    _put(account, "r-3", project="acme/other", started="2026-11-21T12:00:00Z", status="RUNNING")
    found = ledger.project_runs(account, "acme", "digits", 10)
    assert [row.run for row in found] == ["r-2", "r-1"]
    assert found[1].usd == 0.02
    assert found[1].prefix == "acme/digits/runs/r-1/"


def test_an_unknown_run_is_not_found(account: Account) -> None:
    with pytest.raises(NotFound, match="no run 'r-9'"):
        ledger.get_run(account, "r-9")


def test_a_run_of_no_project_is_told_of_too(account: Account) -> None:
    _put(account, "r-4", status="FAILED")
    assert ledger.get_run(account, "r-4").project == ""


def test_an_execution_is_followed_to_its_end(
    account: Account, execute: Callable[[dict[str, Any]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = {"expected": {"seconds": 60, "usd": 0.5}, "worst_case": {"usd": 2}}
    arn = execute(
        {
            "StartAt": "Plan compute",
            "States": {
                "Plan compute": {"Type": "Pass", "Assign": {"plan": plan}, "Next": "Pause"},
                "Pause": {"Type": "Wait", "Seconds": 20, "Next": "Done"},
                "Done": {"Type": "Succeed"},
            },
        }
    )
    progress = watch.show(Watcher(account, arn), Output(json=False), "title")
    assert progress.status == "SUCCEEDED"
    assert [visit.name for visit in progress.visits] == ["Plan compute", "Pause", "Done"]
    printed = capsys.readouterr().out
    assert "Pause" in printed
    assert "on AWS about 1 min 00 s and $0.5000, at most $2.00" in printed


def test_a_failed_execution_tells_its_error_and_cause(
    account: Account, execute: Callable[[dict[str, Any]], str]
) -> None:
    arn = execute({"StartAt": "Break", "States": {"Break": {"Type": "Fail", "Error": "Broken", "Cause": "it\nbroke"}}})
    *_, progress = Watcher(account, arn).polls()
    assert (progress.status, progress.error, progress.cause) == ("FAILED", "Broken", "it\nbroke")


def test_ctrl_c_ends_the_following_and_says_that_the_run_goes_on(
    account: Account, execute: Callable[[dict[str, Any]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = execute({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    _put(account, "r-6", project="acme/digits", started="2026-11-21T12:00:00Z", status="RUNNING", execution_arn=arn)
    context = Context(Options())
    context.__dict__["account"] = account

    def interrupted(watcher: Watcher) -> Iterator[Progress]:
        yield watcher.poll()
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "polls", interrupted)
    with pytest.raises(Unwatched, match=r"r-6 goes on(.|\n)*tandem watch r-6") as caught:
        ending.follow_run(context, "r-6", "title")
    assert caught.value.code == Exit.INTERRUPTED


def test_waiting_for_a_run_that_never_starts_ends_with_what_to_do(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "START_SECONDS", 0.1)
    with pytest.raises(Exception, match="no run started") as caught:
        watch.wait_for_start(account, watch.execution_of(account, "r-5"))
    assert "dead-letter" in str(caught.value)


def test_a_log_is_read_on_where_it_was_left(cloud: Cloud, account: Account) -> None:
    logs, group, job = cloud.client("logs"), LOG_GROUPS["training"], f"job-{uuid.uuid4().hex}"
    tail = LogTail(account=account, group=group, job=job)
    assert tail.fetch() == []
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if not groups:
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=f"{job}/algo-1-1")
    for text in ("epoch=1 train_loss=0.5", "epoch=2 train_loss=0.4"):
        event = {"timestamp": int(time.time() * 1000), "message": text}
        logs.put_log_events(logGroupName=group, logStreamName=f"{job}/algo-1-1", logEvents=[event])
        assert tail.fetch()[-1] == text
    assert tail.fetch() == ["epoch=1 train_loss=0.5", "epoch=2 train_loss=0.4"]
