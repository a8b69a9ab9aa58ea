"""What only a real account would tell: rules of AWS that no emulator checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from contract import names
from infra.asl import ASKED, expression
from tests.infra.conftest import Assembly, listed
from tests.infra.test_arguments import States, check, evaluate, resource_of, variables

__all__ = ["variables"]  # a fixture of test_arguments


def statements(assembly: Assembly, role: str = "") -> Iterator[dict[str, Any]]:
    for policy in assembly.resources("AWS::IAM::Policy"):
        if role in json.dumps(policy["Roles"]):
            yield from policy["PolicyDocument"]["Statement"]


def publishers(policy: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the services that a resource's policy lets do something, with their conditions."""
    return {
        service: statement.get("Condition")
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow" and action in statement["Action"] and "Service" in statement["Principal"]
        for service in listed(statement["Principal"]["Service"])
        if isinstance(service, str)
    }


def test_the_keys_policy_has_no_condition_that_silences_eventbridge(assembly: Assembly) -> None:
    allowed = publishers(assembly.one("AWS::KMS::Key")["KeyPolicy"], "kms:GenerateDataKey*")
    told = {"events.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
    assert set(allowed) == {*told, "cloudtrail.amazonaws.com"}
    assert allowed["events.amazonaws.com"] is None  # SNS supports none for EventBridge


def test_eventbridge_and_this_accounts_alarms_may_publish_to_the_topic(assembly: Assembly) -> None:
    allowed = publishers(assembly.one("AWS::SNS::TopicPolicy")["PolicyDocument"], "sns:Publish")
    assert set(allowed) == {"events.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com"}
    assert allowed["cloudwatch.amazonaws.com"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize("name", ["Intake", "Settle"])
def test_an_event_that_a_function_fails_on_is_kept(assembly: Assembly, name: str) -> None:
    functions = {function["Handler"]: function for function in assembly.resources("AWS::Lambda::Function")}
    assert "DeadLetters" in json.dumps(functions[f"functions.{name.lower()}.handler"]["DeadLetterConfig"])
    allowed = json.dumps([statement["Action"] for statement in statements(assembly, f"{name}Role")])
    for action in ("sqs:SendMessage", "kms:GenerateDataKey", "kms:Decrypt"):
        assert f'"{action}"' in allowed


def test_a_thing_with_a_given_name_is_not_left_in_the_way_of_the_next_deployment(assembly: Assembly) -> None:
    given = {"AWS::Logs::LogGroup": "LogGroupName", "AWS::StepFunctions::StateMachine": "StateMachineName"}
    resources = [each for stack in names.STACKS for each in assembly.template(stack)["Resources"].values()]
    found = [each for each in resources if given.get(each["Type"]) in each.get("Properties", {})]
    (audited,) = [each for each in found if names.AUDIT_LOGS in json.dumps(each)]
    assert "AWS::StackId" in json.dumps(audited["Properties"]["LogGroupName"])  # another name each time
    named = [each for each in found if each is not audited]
    assert len(named) == 8
    assert {resource.get("DeletionPolicy", "Delete") for resource in named} == {"Delete"}


def test_a_message_to_people_is_made_of_texts_only(assembly: Assembly) -> None:
    rules = json.dumps(list(assembly.resources("AWS::Events::Rule", names.STACK_OPERATIONS)))
    assert "$.detail.summary" in rules
    assert "$.detail.reasons" not in rules  # a list has no place in a text


def test_a_missing_object_is_told_from_a_forbidden_one(assembly: Assembly) -> None:
    listing = [s for s in statements(assembly) if s["Action"] == "s3:ListBucket" and "cdk-" not in json.dumps(s)]
    # Those that are bound to a prefix; the daily functions list folders, or all, and ask for no object.
    ours = [s for s in listing if "s3:prefix" in json.dumps(s) and "s3:delimiter" not in json.dumps(s)]
    assert len(ours) >= 5
    for statement in ours:  # a request for an object has no prefix to compare with
        (condition,) = statement["Condition"]
        assert condition == "StringLikeIfExists"


def test_packages_are_listed_by_a_right_on_packages(assembly: Assembly) -> None:
    (statement,) = [s for s in statements(assembly, "RegisterRole") if "sagemaker:ListModelPackages" in s["Action"]]
    assert "model-package/*--*/*" in json.dumps(statement["Resource"])


def test_the_slower_of_two_builds_of_an_image_is_content_with_the_others(assembly: Assembly) -> None:
    specification = json.loads(assembly.one("AWS::CodeBuild::Project")["Source"]["BuildSpec"])
    push = specification["phases"]["build"]["commands"][-1]
    image = push.removeprefix("docker push ").partition(" || ")[0]
    assert push == f"docker push {image} || docker pull {image}"


def test_a_ladder_of_one_type_asks_for_nothing_that_step_functions_may_not_know(
    run_states: States, variables: dict[str, Any]
) -> None:
    variables["plan"]["train"] |= {"ladder": ["ml.g5.xlarge"], "hosts": 1}
    state = run_states["Train on demand"]
    arguments = evaluate(state["Arguments"], variables)
    check(resource_of(state), arguments)
    assert arguments["ResourceConfig"] == {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 40}
    assert arguments["EnableInterContainerTrafficEncryption"] is False
    # A literal field would be looked up when the machine is created, and stop the whole deployment.
    assert isinstance(state["Arguments"]["ResourceConfig"], str)


@pytest.mark.parametrize(("target", "isolated"), [("serverless", False), ("realtime", True)])
def test_serverless_inference_has_no_network_isolation(
    deployment_states: States, variables: dict[str, Any], target: str, isolated: bool
) -> None:
    variables["deployment"]["target"] = target
    model = evaluate(deployment_states["Create model"]["Arguments"], variables)
    assert model["EnableNetworkIsolation"] is isolated


def test_a_deployment_started_by_hand_gives_its_lease_back_whatever_its_input_lacks(
    deployment_states: States, variables: dict[str, Any]
) -> None:
    assigned = evaluate(deployment_states["Take lease"]["Assign"], variables)
    assert (assigned["run"], assigned["package_arn"], assigned["expected_champion"]) == ("", "", None)


def test_the_months_bill_is_watched_and_budgets_may_tell_of_it(assembly: Assembly) -> None:
    budget = assembly.one("AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 200, "Unit": "USD"}
    told = [(each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
            for each in budget["NotificationsWithSubscribers"]]  # fmt: skip
    assert told == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    assert all(each["Subscribers"][0]["SubscriptionType"] == "SNS" for each in budget["NotificationsWithSubscribers"])
    template = assembly.template(names.STACK_OPERATIONS)["Resources"].values()
    (resource,) = (each for each in template if each["Type"] == "AWS::Budgets::Budget")
    assert [each for each in resource["DependsOn"] if "Policy" in each]  # it publishes as soon as it is made


def test_a_machine_that_is_started_again_and_again_knows_what_was_asked_first() -> None:
    first = {"tenant": "acme", "project": "digits", "detail": {"object": {"key": "k"}}}
    second = {"detail": {"executionArn": "arn:1", "input": json.dumps(first)}}
    third = {"detail": {"executionArn": "arn:2", "input": json.dumps(second)}}
    for given in (first, second, third):
        assert evaluate(expression(ASKED), {"states": {"input": given}}) == first
