"""Templates: parsing, order, intrinsic functions, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from local.cloudformation import parameters
from local.cloudformation.errors import ResourceFailed, ValidationError
from local.cloudformation.functions import Scope
from local.cloudformation.resources.calls import fit
from local.cloudformation.resources.custom import as_texts
from local.cloudformation.template import creation_order, parse

YAML = """
AWSTemplateFormatVersion: 2010-09-09
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      Description: !Sub "${AWS::StackName} of ${Topic.TopicName}"
  Topic: {Type: AWS::SNS::Topic, DependsOn: Last}
  Last: {Type: AWS::SNS::Topic}
Outputs:
  Arn: {Value: !GetAtt Role.Arn}
"""


def scope(**template: Any) -> Scope:
    """A scope with one resource ``R`` and one parameter ``P``."""
    attributes = {("R", "Arn"): "arn:r", ("R", "Nested.Value"): "deep"}
    return Scope(
        template=template,
        parameters={"P": "p", "List": ["a", "b"]},
        pseudo={"AWS::Region": "us-east-1", "AWS::AccountId": "1"},
        reference={"R": "r-1"}.__getitem__,
        attribute=lambda name, attribute: attributes[(name, attribute)],
        imported={"exported": "value"}.__getitem__,
    )


def test_yaml_short_forms_are_read_and_dates_stay_text() -> None:
    template = parse(YAML)
    properties = template["Resources"]["Role"]["Properties"]
    assert properties["AssumeRolePolicyDocument"]["Version"] == "2012-10-17"
    assert properties["Description"] == {"Fn::Sub": "${AWS::StackName} of ${Topic.TopicName}"}
    assert template["Outputs"]["Arn"]["Value"] == {"Fn::GetAtt": ["Role", "Arn"]}


def test_resources_come_after_what_they_refer_to() -> None:
    assert creation_order(parse(YAML)) == ["Last", "Topic", "Role"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Template format error"),
        ("{}", "At least one Resources member"),
        ('{"Resources": {"A": {}}}', "must have a Type"),
        ('{"Resources": {"A": {"Type": "T", "Properties": {"x": {"Ref": "B"}}}}}', r"dependencies \[B\]"),
        ('{"Resources": {"A": {"Type": "T", "DependsOn": ["C"]}}}', r"dependencies \[C\]"),
    ],
)
def test_templates_that_cannot_be_meant_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parse(text)


def test_a_circle_is_refused() -> None:
    template = {"Resources": {name: {"Type": "T", "DependsOn": other} for name, other in (("A", "B"), ("B", "A"))}}
    with pytest.raises(ValidationError, match=r"Circular dependency between resources: \[A, B\]"):
        creation_order(template)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Ref": "R"}, "r-1"),
        ({"Ref": "P"}, "p"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Fn::GetAtt": ["R", "Arn"]}, "arn:r"),
        ({"Fn::GetAtt": "R.Nested.Value"}, "deep"),
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}, 5, True]]}, "a-p-5-true"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b"),
        ({"Fn::Sub": "${P}:${R.Arn}:${!Literal}:${AWS::AccountId}"}, "p:arn:r:${Literal}:1"),
        ({"Fn::Sub": ["${x}/${P}", {"x": {"Ref": "R"}}]}, "r-1/p"),
        ({"Fn::Split": [":", "a:b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [":", {"Fn::GetAtt": ["R", "Arn"]}]}]}, "r"),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "x"]}, "found"),
        ({"Fn::FindInMap": ["M", "nowhere", "x", {"DefaultValue": "default"}]}, "default"),
        ({"Fn::If": ["IsP", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Never", "yes", {"Ref": "P"}]}, "p"),
        ({"Fn::ImportValue": {"Fn::Sub": "exported"}}, "value"),
        ({"Fn::Base64": "a"}, "YQ=="),
        ({"Fn::ToJsonString": {"a": {"Ref": "P"}}}, '{"a": "p"}'),
        ({"Fn::Length": {"Ref": "List"}}, 2),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"keep": 1, "drop": {"Ref": "AWS::NoValue"}}, {"keep": 1}),
        ([1, {"Fn::If": ["Never", 2, {"Ref": "AWS::NoValue"}]}], [1]),
    ],
)
def test_functions(expression: Any, value: Any) -> None:
    conditions = {
        "IsP": {"Fn::And": [{"Fn::Equals": [{"Ref": "P"}, "p"]}, {"Fn::Not": [{"Condition": "Never"}]}]},
        "Never": {"Fn::Or": [{"Fn::Equals": ["a", "b"]}]},
    }
    assert scope(Mappings={"M": {"us-east-1": {"x": "found"}}}, Conditions=conditions).resolve(expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ({"Fn::Transform": {}}, "Fn::Transform is not emulated"),
        ({"Fn::FindInMap": ["M", "a", "b"]}, "Unable to get mapping for M::a::b"),
        ({"Fn::Select": [5, ["a"]]}, "nonexistent value at index 5"),
        ({"Fn::If": ["Unknown", 1, 2]}, "Unresolved condition dependency Unknown"),
        ({"Fn::Join": ["", [{"a": 1}]]}, "expected text"),
    ],
)
def test_functions_that_cannot_be_evaluated_say_why(expression: Any, reason: str) -> None:
    with pytest.raises((ValidationError, ResourceFailed), match=reason):
        scope().resolve(expression)


def test_parameters_take_defaults_lists_and_values_from_ssm() -> None:
    declared = {
        "Plain": {"Type": "String", "Default": "d"},
        "Many": {"Type": "CommaDelimitedList"},
        "Stored": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/path"},
    }
    values = parameters.resolve(declared, {"Many": "a, b"}, {"/path": "stored"}.__getitem__)
    assert values == {"Plain": "d", "Many": ["a", "b"], "Stored": "stored"}


@pytest.mark.parametrize(
    ("spec", "given", "reason"),
    [
        ({"Type": "String"}, {}, r"\[P\] must have values"),
        ({"Type": "String"}, {"P": "x", "Q": "y"}, r"\[Q\] do not exist in the template"),
        ({"Type": "String", "AllowedValues": ["a", "b"]}, {"P": "c"}, "AllowedValues"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, {"P": "A"}, "must match pattern"),
        ({"Type": "Number"}, {"P": "many"}, "must be a number"),
    ],
)
def test_parameters_that_are_not_allowed(spec: dict[str, Any], given: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parameters.resolve({"P": spec}, given, str)


def test_scalars_become_what_the_api_wants(cloud: Any) -> None:
    shape = cloud.client("lambda").meta.service_model.operation_model("CreateFunction").input_shape
    given = {"Timeout": "30", "Publish": "true", "Environment": {"Variables": {"N": 5, "B": True}}, "Odd": "1"}
    expected = {"Timeout": 30, "Publish": True, "Environment": {"Variables": {"N": "5", "B": "true"}}, "Odd": "1"}
    assert fit(shape, given) == expected


def test_custom_resources_get_text() -> None:
    assert as_texts({"a": True, "b": [5, 1.5, "x"]}) == {"a": "true", "b": ["5", "1.5", "x"]}
