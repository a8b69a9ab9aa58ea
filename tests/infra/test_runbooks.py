"""Every alarm and message to people has its page, every page its alarm; what pages tell one to type is real."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer
from botocore import xform_name
from botocore.model import OperationModel

from cli.main import app
from contract import names
from contract.config import Deploy
from contract.runbooks import FOLDER, Runbook
from functions import lambda_versions, rollout, scaling
from local.event_pattern import matches
from tests.infra.conftest import Assembly

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / FOLDER).glob("*.md"))
COMMANDS = [
    pytest.param(line.removeprefix("$ ").split("  #")[0].strip(), id=f"{page.stem}-{number}")
    for page in PAGES
    for number, line in enumerate(page.read_text().splitlines(), start=1)
    if line.startswith("$ ")
]
SECTIONS = ["## Look", "## Mend", "## It is over"]


def of_templates(assembly: Assembly) -> Iterator[str]:
    """What alarms, budgets and messages to people say."""
    yield from (alarm["AlarmDescription"] for alarm in assembly.resources("AWS::CloudWatch::Alarm"))
    yield from (json.dumps(each["Budget"]["BudgetName"]) for each in assembly.resources("AWS::Budgets::Budget"))
    for rule in assembly.resources("AWS::Events::Rule"):
        for target in rule["Targets"]:
            if "InputTransformer" in target or "SNS" in json.dumps(target["Arn"]):
                yield target["InputTransformer"]["InputTemplate"]


def of_deployments() -> Iterator[str]:
    """What the alarms say that deployments make."""
    deploy = Deploy(target="realtime", max_latency_ms=100, max_instances=2)
    plan = rollout.function_plan("acme", "digits", deploy, "0" * 64, at_once=False)
    queue = Deploy(target="async", min_instances=0, max_instances=2)
    policies = scaling.policies("acme--digits--async", {"model": queue}, [])
    for alarm in (
        *rollout.alarms("acme--digits--realtime", "model", deploy, []),
        *lambda_versions.alarms({**plan, "tags": []}, "1"),
        *(alarm for policy in policies for alarm in policy["alarms"]),
    ):
        assert names.ALARM.fullmatch(alarm["AlarmName"])
        yield alarm["AlarmDescription"]


def test_every_alarm_and_message_names_its_page_and_every_page_is_named(assembly: Assembly) -> None:
    said = [*of_templates(assembly), *of_deployments()]
    named = [re.findall(rf"{FOLDER}/([a-z-]+)\.md", text) for text in said]
    assert [text for text, pages in zip(said, named, strict=True) if len(pages) != 1] == []
    assert {page for pages in named for page in pages} == set(Runbook)
    assert {page.stem for page in PAGES} == {"README", *Runbook}


def test_every_page_says_how_to_look_to_mend_and_to_know_that_it_is_over() -> None:
    index = (ROOT / FOLDER / "README.md").read_text()
    for name in Runbook:
        found = [line for line in (ROOT / name.page).read_text().splitlines() if line.startswith("## ")]
        assert found == SECTIONS, name
        assert f"({name}.md)" in index


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_page_tells_one_to_type_is_a_command(command: str) -> None:
    program, *arguments = shlex.split(command)
    {"tandem": check_tandem, "aws": check_aws}[program](arguments)


def check_tandem(arguments: list[str]) -> None:
    """Parse it as the command line does; a placeholder stands for a value of any kind that its place takes."""
    given = ["1" if each in ("<version>", "<dollars>") else each for each in arguments]
    given = ["README.md" if each == "<file>" else each for each in given]
    group: Any = typer.main.get_command(app)
    name, command, rest = group.resolve_command(group.make_context("tandem", given), given)
    command.make_context(name, rest)


def check_aws(arguments: list[str]) -> None:
    """Find the operation and the names of its members in AWS's own models."""
    service, operation, *rest = arguments
    model = botocore.session.get_session().get_service_model(service)
    known = {xform_name(name, "-"): name for name in model.operation_names}
    options = {each.removeprefix("--") for each in rest if each.startswith("--")} - {"query", "cli-binary-format"}
    members = _members(model.operation_model(known[operation]))
    assert options <= members, options - members


def _members(operation: OperationModel) -> set[str]:
    found = {xform_name(name, "-") for name in operation.input_shape.members} if operation.input_shape else set()
    return found | {"max-items"}


def test_what_breaks_without_a_run_that_fails_has_an_alarm(assembly: Assembly) -> None:
    alarms = assembly.resources("AWS::CloudWatch::Alarm")
    watched = {(alarm["MetricName"], *re.findall("DeadLetters|Sleepers|Predict", json.dumps(alarm["Dimensions"])))
               for alarm in alarms if alarm["AlarmActions"]}  # fmt: skip
    assert {each[:2] for each in watched} == {
        ("ApproximateNumberOfMessagesVisible", "DeadLetters"),
        ("Errors", "Sleepers"),
        ("Errors", "Predict"),
    }


def test_a_recovery_that_failed_is_told(assembly: Assembly) -> None:
    (rule,) = [each for each in assembly.resources("AWS::Events::Rule") if "recovery-failed" in json.dumps(each)]
    asked = rule["EventPattern"]["detail"]
    assert asked["status"] == ["FAILED"]
    assert len(asked["stateMachineArn"]) == 2
    event = {"detail": {"input": json.dumps({"source": "aws.states"})}}
    assert matches({"detail": {"input": asked["input"]}}, event)
    assert not matches({"detail": {"input": asked["input"]}}, {"detail": {"input": json.dumps({"tenant": "acme"})}})
