"""Approve: whoever decides, whenever, the run that waits hears it once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import ledger
from functions import ask, decide, register
from tests.functions import examples
from tests.functions.conftest import World

WAITING = {
    "QueryLanguage": "JSONata",
    "StartAt": "Approve",
    "States": {
        "Approve": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:putItem.waitForTaskToken",
            "Arguments": {
                "TableName": "{% $states.input.table %}",
                "Item": {
                    "pk": {"S": "token"}, "sk": {"S": "token"}, "token": {"S": "{% $states.context.Task.Token %}"}
                },
            },
            "End": True,
        }
    },
}  # fmt: skip


@pytest.fixture
def waiting(world: World) -> tuple[str, str]:
    """An execution that waits: its ARN and its task token."""
    states = world.client("stepfunctions")
    machine = states.create_state_machine(
        name=f"waiting-{world.tenant}", definition=json.dumps(WAITING), roleArn="arn:aws:iam::123456789012:role/none"
    )["stateMachineArn"]
    started = states.start_execution(stateMachineArn=machine, input=json.dumps({"table": world.table}))
    token = world.eventually(lambda: world.row({"pk": "token", "sk": "token"}).get("token"))
    return started["executionArn"], token


def registered(world: World, **gate: Any) -> dict[str, Any]:
    """Register a model that waits; return what the state Approve gives to ask."""
    request = examples.request(world.tenant, gate={"approve": "manual", **gate})
    evaluation = examples.evaluation().to_dict()
    package = register.handler({"run": request.to_dict(), "evaluation": evaluation, **examples.CODE}, None)
    return {"run": request.to_dict(), "package": package, "reasons": ["better"]}


def say(world: World, package: dict[str, Any], status: str, note: str = "") -> dict[str, Any]:
    """Change the registry; return the event that it puts."""
    world.client("sagemaker").update_model_package(
        ModelPackageArn=package["package_arn"], ModelApprovalStatus=status, ApprovalDescription=note
    )
    group = f"{world.tenant}--{world.project}"
    detail = {"ModelPackageGroupName": group, "ModelPackageVersion": package["version"]}
    return {"detail": {**detail, "ModelPackageArn": package["package_arn"], "ModelApprovalStatus": status}}


def output(world: World, arn: str) -> Any:
    """Return what the execution ended with."""
    described = world.client("stepfunctions").describe_execution(executionArn=arn)
    return json.loads(described["output"]) if described["status"] == "SUCCEEDED" else None


def test_people_are_asked_and_their_answer_releases_the_run_once(world: World, waiting: tuple[str, str]) -> None:
    arn, token = waiting
    given = registered(world)
    described = world.client("sagemaker").describe_model_package(ModelPackageName=given["package"]["package_arn"])
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert ask.handler({**given, "token": token}, None) == {"asked": True}
    event = say(world, given["package"], "Rejected", "no")
    assert decide.handler(event, None) == {"released": True}
    assert world.eventually(lambda: output(world, arn)) == {"status": "Rejected", "note": "no"}
    assert decide.handler(event, None) == {"released": False}, "a repeated event finds nobody waiting"


def test_a_version_decided_before_the_state_was_entered_is_not_asked_again(
    world: World, waiting: tuple[str, str]
) -> None:
    arn, token = waiting
    given = registered(world)
    event = say(world, given["package"], "Approved")
    assert decide.handler(event, None) == {"released": False}, "nobody waits yet"
    assert ask.handler({**given, "token": token}, None) == {"asked": False}
    assert world.eventually(lambda: output(world, arn)) == {"status": "Approved", "note": ""}


def test_late_news_is_worth_what_the_registry_says_now(world: World, waiting: tuple[str, str]) -> None:
    _, token = waiting
    given = registered(world)
    ask.handler({**given, "token": token}, None)
    late = say(world, given["package"], "Approved")
    say(world, given["package"], "PendingManualApproval")
    assert decide.handler(late, None) == {"released": False}


def test_the_link_of_a_notification_is_kept_as_a_hash(world: World, waiting: tuple[str, str]) -> None:
    given = registered(world)
    ask.handler({**given, "token": waiting[1]}, None)
    row = world.row(ledger.approval_key(world.tenant, world.project, given["package"]["version"]))
    assert len(row["link"]) == 64
    assert row["package_arn"] == given["package"]["package_arn"]
