"""Definitions are refused when they are created, as AWS refuses them, and each mistake is named with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.stepfunctions.definition import errors_of
from tests.local.conftest import Vanilla
from tests.local.machines import ROLE, ended, machine, start

END: dict[str, Any] = {"Type": "Succeed"}


def task(resource: str = "aws-sdk:s3:listBuckets", arguments: Any = None, **fields: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments or {}, "End": True}
    return {"T": {**state, **fields}}


def catch(*names: str) -> list[dict[str, Any]]:
    return [{"ErrorEquals": list(names), "Next": "T"}]


def inner(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "I", "States": {"I": state}}


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "next": ({"A": {"Type": "Pass", "Next": "B"}}, "/States/A/Next", "Missing 'Next' target: B"),
    "default": (
        {"A": {"Type": "Choice", "Choices": [{"Condition": True, "Next": "B"}], "Default": "C"}, "B": END},
        "/States/A/Default",
        "Missing 'Default' target: C",
    ),
    "catch": (task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "No"}]), "/States/T/Catch[0]/Next", "target: No"),
    "unreachable": ({"A": END, "B": END}, "/States/B", 'State "B" is not reachable.'),
    "no end": ({"A": {"Type": "Pass"}}, "/States/A", '"Next" and "End"'),
    "jsonpath field": (task(ResultPath="$.x"), "/States/T", '"ResultPath" is not supported when'),
    "jsonpath key": (task(arguments={"Bucket.$": "$.b"}), "/States/T/Arguments", '".$"'),
    "long name": ({"A" * 81: END}, f"/States/{'A' * 81}", "at most 80 characters"),
    "unknown field": (task(Timeout=3), "/States/T", '"Timeout" is not supported'),
    "unknown type": ({"A": {"Type": "Jump"}}, "/States/A/Type", "must be one of"),
    "unknown resource": (task("sagemaker:trainMyModel"), "/States/T/Resource", "is not recognized"),
    "unknown pattern": (task("aws-sdk:s3:listBuckets.sync"), "/States/T/Resource", "is not recognized"),
    "unknown action": (task("aws-sdk:s3:listBukets"), "/States/T/Resource", "no action 'listBukets'"),
    "unparsable": ({"A": {**END, "Output": {"x": "{% $a[ %}"}}}, "/States/A/Output/x", "Expected ]"),
    "eval": ({"A": {"Type": "Succeed", "Output": "{% $eval('1') %}"}}, "/States/A/Output", "$eval is not supported"),
    "half open": ({"A": {"Type": "Succeed", "Output": " {% 1 %}"}}, "/States/A/Output", "begins with '{%'"),
    "states.all": (task(Catch=catch("States.ALL", "Other")), "/States/T/Catch[0]", "must stand alone"),
    "error name": (task(Catch=catch("States.Oops")), "/States/T/Catch[0]", "States.Oops"),
    "retry": (task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}]), "/States/T/Retry[0]", '"BackoffRate"'),
    "time-out": (task(TimeoutSeconds=0), "/States/T", '"TimeoutSeconds" must be a positive integer'),
    "argument": (
        task("sagemaker:createModel", {"ModelName": "m", "PrimaryContainer": {"ModelDataUri": "s"}}),
        "/States/T/Arguments/PrimaryContainer",
        'The field "ModelDataUri" is not supported by Step Functions',
    ),
    "missing argument": (task("aws-sdk:s3:getObject", {"Bucket": "b"}), "/States/T/Arguments", '"Key" is required'),
    "argument's type": (
        task("aws-sdk:s3:listObjectsV2", {"Bucket": "b", "MaxKeys": "3"}),
        "/States/T/Arguments/MaxKeys",
        "must be an INTEGER",
    ),
    "argument's case": (
        task("aws-sdk:ecr:listImages", {"repositoryName": "r"}),
        "/States/T/Arguments",
        "not supported",
    ),
    "variable": ({"A": {"Type": "Pass", "Assign": {"states": 1}, "End": True}}, "/States/A/Assign", '"states"'),
    "branch": (
        {"P": {"Type": "Parallel", "Branches": [inner({"Type": "Pass", "Next": "P"})], "End": True}},
        "/States/P/Branches[0]/States/I/Next",
        "target: P",
    ),
    "outer variable": (
        {
            "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "M"},
            "M": {
                "Type": "Map",
                "ItemProcessor": inner({"Type": "Pass", "Assign": {"x": 2}, "End": True}),
                "End": True,
            },
        },
        "/States/M/ItemProcessor/States/I/Assign",
        "outer workflow",
    ),
    "distributed": (
        {
            "M": {
                "Type": "Map",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **inner(END)},
                "End": True,
            }
        },
        "/States/M/ItemProcessor/ProcessorConfig/Mode",
        "inline Maps only",
    ),
}


@pytest.mark.parametrize(("states", "place", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named_with_their_place(states: dict[str, Any], place: str, message: str) -> None:
    found = errors_of(machine(states))
    assert any(error.location == place and message in error.message for error in found), found


def test_a_right_definition_has_no_mistakes() -> None:
    states = {
        **task(
            Next="W", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "W", "Assign": {"e": "{% $states.errorOutput %}"}}]
        ),
        "W": {"Type": "Wait", "Seconds": "{% $x %}", "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $y > 1 %}", "Next": "S"}], "Default": "F"},
        "S": END,
        "F": {"Type": "Fail", "Error": "{% $e.Error %}", "Cause": "{% $e.Cause %}"},
    }
    states["T"].pop("End")
    assert errors_of(machine(states)) == []


@pytest.mark.parametrize(("text", "code"), [("{", "INVALID_JSON_DESCRIPTION"), ("[]", "SCHEMA_VALIDATION_FAILED")])
def test_text_that_is_no_definition(text: str, code: str) -> None:
    assert [error.code for error in errors_of(text)] == [code]


def test_creation_and_update_refuse_and_say_why(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    wrong, right = machine({"A": {"Type": "Pass", "Next": "B"}}), machine({"A": END})
    arn = sfn.create_state_machine(name="right", definition=right, roleArn=ROLE)["stateMachineArn"]
    for call, arguments in (
        (sfn.create_state_machine, {"name": "wrong", "definition": wrong, "roleArn": ROLE}),
        (sfn.update_state_machine, {"stateMachineArn": arn, "definition": wrong}),
    ):
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        assert caught.value.response["Error"]["Code"] == "InvalidDefinition"
        assert "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/A/Next" in str(caught.value)
    assert sfn.describe_state_machine(stateMachineArn=arn)["definition"] == right


def test_validation_answers_the_same(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    assert sfn.validate_state_machine_definition(definition=machine({"A": END}))["result"] == "OK"
    answer = sfn.validate_state_machine_definition(definition=machine({"A": {"Type": "Pass", "Next": "B"}}))
    assert answer["result"] == "FAIL"
    (found,) = answer["diagnostics"]
    assert (found["severity"], found["code"], found["location"]) == (
        "ERROR",
        "MISSING_TRANSITION_TARGET",
        "/States/A/Next",
    )


def test_the_same_name_with_other_contents_is_refused(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    first = sfn.create_state_machine(name="taken", definition=machine({"A": END}), roleArn=ROLE)
    again = sfn.create_state_machine(name="taken", definition=machine({"A": END}), roleArn=ROLE)
    assert again["stateMachineArn"] == first["stateMachineArn"]
    with pytest.raises(ClientError, match="StateMachineAlreadyExists"):
        sfn.create_state_machine(name="taken", definition=machine({"B": END}), roleArn=ROLE)


def test_vanilla_moto_takes_a_missing_target_and_cannot_validate(vanilla: Vanilla) -> None:
    sfn = vanilla.client("stepfunctions")
    wrong = machine({"A": {"Type": "Pass", "Next": "B"}})
    assert sfn.create_state_machine(name="wrong", definition=wrong, roleArn=ROLE)["stateMachineArn"]
    with pytest.raises(ClientError):
        sfn.validate_state_machine_definition(definition=wrong)


TEMPLATE = {
    "Resources": {
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": "from-template",
                "RoleArn": ROLE,
                "DefinitionString": machine({"A": {"Type": "Pass", "Output": "${word}", "End": True}}),
                "DefinitionSubstitutions": {"word": "{% 'sub' & 'stituted' %}"},
                "LoggingConfiguration": {"Level": "ALL", "IncludeExecutionData": True},
                "TracingConfiguration": {"Enabled": True},
            },
        }
    },
    "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Machine", "Arn"]}}},
}


def deployed(endpoint: Any) -> str:
    cloudformation = endpoint.client("cloudformation")
    cloudformation.create_stack(StackName="machines", TemplateBody=json.dumps(TEMPLATE))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="machines", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="machines")["Stacks"]
    return str(stack["Outputs"][0]["OutputValue"])


def test_machines_from_templates_run(cloud: Cloud) -> None:
    arn = deployed(cloud)
    assert ended(cloud, start(cloud, arn)).output == "substituted"
    described = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    assert described["loggingConfiguration"] == {"level": "ALL", "includeExecutionData": True}
    assert described["tracingConfiguration"] == {"enabled": True}


def test_vanilla_moto_does_not_find_machines_from_templates(vanilla: Vanilla) -> None:
    with pytest.raises((ClientError, AssertionError)):
        vanilla.client("stepfunctions").describe_state_machine(stateMachineArn=deployed(vanilla))
