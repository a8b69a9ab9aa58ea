"""Approve: whoever decides, whenever, the run that waits hears it once."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from contract import ledger
from functions import approval, ask, decide, register
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


def _page(world: World, package: dict[str, Any], **body: str) -> tuple[int, Any]:
    parameters = {"tenant": world.tenant, "project": world.project, "version": str(package["version"])}
    event = {
        "requestContext": {"requestId": "r"}, "httpMethod": "POST", "resource": "", "pathParameters": parameters,
        "body": json.dumps(body),
    }  # fmt: skip
    answer = approval.handler(event, None)
    return answer["statusCode"], json.loads(answer["body"])


def test_only_the_link_s_secret_opens_a_version(
    world: World, waiting: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = registered(world)
    package = given["package"]
    assert _page(world, package, secret="guessed")[0] == 404, "nobody was asked yet"
    monkeypatch.setattr(ask.secrets, "token_urlsafe", lambda _: "the-secret")
    ask.handler({**given, "token": waiting[1]}, None)
    row = world.row(ledger.approval_key(world.tenant, world.project, package["version"]))
    assert "the-secret" not in json.dumps(row), "the ledger keeps a hash"
    for secret in ("", "guessed", row["link"]):
        status, refused = _page(world, package, secret=secret, status="Approved")
        assert (status, refused["error"]["type"]) == (404, "NotFound")
    assert _page(world, {"version": "1/../2"}, secret="the-secret")[0] == 404
    status, shown = _page(world, package, secret="the-secret")
    assert (status, shown["status"], shown["version"]) == (200, "PendingManualApproval", package["version"])


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "[" * 100_000, '{"secret": 1}', '{"secret": "\\ud800"}', '{"note": "two\\nlines"}'],
    ids=["nothing", "null", "list", "deep", "number", "half a character", "lines"],
)
def test_a_body_that_says_nothing_is_refused(body: str) -> None:
    parameters = {"tenant": "acme", "project": "tab", "version": "1"}
    event = {
        "requestContext": {"requestId": "r"}, "httpMethod": "POST", "resource": "", "pathParameters": parameters,
        "body": body,
    }  # fmt: skip
    assert approval.handler(event, None)["statusCode"] == 400


def test_a_link_decides_once(world: World, waiting: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = registered(world)
    monkeypatch.setattr(ask.secrets, "token_urlsafe", lambda _: "the-secret")
    ask.handler({**given, "token": waiting[1]}, None)
    page = functools.partial(_page, world, given["package"], secret="the-secret")
    assert page(status="Deployed")[0] == 400
    status, shown = page(status="Rejected", note="the region is missing")
    assert (status, shown["status"], shown["note"]) == (200, "Rejected", "the region is missing")
    status, late = page(status="Approved")
    assert (status, late["error"]["type"]) == (409, "TooLate")
