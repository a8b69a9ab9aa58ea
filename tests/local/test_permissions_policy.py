"""Policies say of a request what IAM's documents say: statement by statement, operator by operator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.permissions.policy import Request, decide

BUCKET, OBJECT = "arn:aws:s3:::data", "arn:aws:s3:::data/acme/risk/rows.csv"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def allowed(statement: dict[str, Any], action: str, resource: str, **context: list[str]) -> bool:
    keys = {name.replace("__", ":").lower(): values for name, values in context.items()}
    return decide([policy(statement)], Request(action=action, resource=resource, context=keys)).allowed


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("*", OBJECT, True),
        ("arn:aws:s3:::data/*", OBJECT, True),
        ("arn:aws:s3:::data/acme/*/rows.csv", OBJECT, True),
        ("arn:aws:s3:::data/acme/risk/rows.cs?", OBJECT, True),
        ("arn:aws:s3:::data", OBJECT, False),
        ("arn:aws:s3:::data/ACME/*", OBJECT, False),
        ("arn:aws:s3:::data/[a]cme/*", OBJECT, False),
        ("arn:aws:*:data/*", OBJECT, False),  # a wildcard reaches over no colon but in the last part
        ("arn:aws:states:us-east-1:1:execution:m:*", "arn:aws:states:us-east-1:1:execution:m:run:4", True),
        ("arn:aws:states:us-east-1:*:stateMachine:m", "arn:aws:states:us-east-1:1:stateMachine:m", True),
    ],
)
def test_resources_match_part_by_part(pattern: str, resource: str, matches: bool) -> None:
    assert allowed({"Action": "s3:GetObject", "Resource": pattern}, "s3:GetObject", resource) is matches


@pytest.mark.parametrize(
    ("element", "action", "matches"),
    [
        ({"Action": "s3:getobject"}, "s3:GetObject", True),
        ({"Action": ["s3:Put*", "s3:Get*"]}, "s3:GetObjectVersion", True),
        ({"Action": "s3:GetObject"}, "s3:GetObjectVersion", False),
        ({"NotAction": "s3:*"}, "s3:GetObject", False),
        ({"NotAction": "s3:*"}, "kms:Decrypt", True),
    ],
)
def test_actions_match_whatever_their_case(element: dict[str, Any], action: str, matches: bool) -> None:
    assert allowed({**element, "Resource": "*"}, action, OBJECT) is matches


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"events:source": "tandem"}}, {"events__source": ["tandem"]}, True),
        ({"StringEquals": {"events:source": "tandem"}}, {"events__source": ["other"]}, False),
        ({"StringEquals": {"events:source": "tandem"}}, {}, False),
        ({"StringEqualsIfExists": {"s3:prefix": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"s3:prefix": "a"}}, {"s3__prefix": ["b"]}, False),
        ({"StringNotEquals": {"s3:prefix": "a"}}, {}, True),
        ({"StringNotEquals": {"s3:prefix": ["a", "b"]}}, {"s3__prefix": ["b"]}, False),
        ({"StringLike": {"s3:prefix": ["x", "*/runs/*"]}}, {"s3__prefix": ["acme/risk/runs/1"]}, True),
        ({"StringLike": {"S3:PREFIX": "*/runs/*"}}, {"s3__prefix": ["acme/runs"]}, False),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ["a", "b"]}, True),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ["a", "c"]}, False),
        ({"ForAllValues:StringEquals": {"k": "a"}}, {}, True),
        ({"ForAnyValue:StringEquals": {"k": "a"}}, {"k": ["b", "a"]}, True),
        ({"ForAnyValue:StringEquals": {"k": "a"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws__securetransport": ["true"]}, False),
        ({"Bool": {"aws:SecureTransport": True}}, {"aws__securetransport": ["true"]}, True),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": ["a"]}, False),
        ({"NumericLessThanEquals": {"k": "4"}}, {"k": ["4"]}, True),
        ({"NumericGreaterThan": {"k": 4}}, {"k": ["4"]}, False),
        ({"DateLessThan": {"k": "2026-01-01T00:00:00Z"}}, {"k": ["2025-12-31"]}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws__sourceip": ["10.1.2.3"]}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws__sourceip": ["10.1.2.3"]}, False),
        ({"ArnLike": {"k": "arn:aws:lambda:*:*:function:a*"}}, {"k": ["arn:aws:lambda:r:1:function:ab"]}, True),
        ({"ArnNotLike": {"k": "arn:aws:lambda:*:*:function:a*"}}, {"k": ["arn:aws:lambda:r:1:function:ab"]}, False),
        ({"StringEquals": {"a": "1", "b": "2"}}, {"a": ["1"]}, False),
    ],
)
def test_conditions_hold_as_their_operators_say(condition: Any, context: dict[str, list[str]], holds: bool) -> None:
    statement = {"Action": "s3:GetObject", "Resource": "*", "Condition": condition}
    assert allowed(statement, "s3:GetObject", OBJECT, **context) is holds


def test_what_fills_a_variable_is_no_pattern() -> None:
    statement = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/${aws:PrincipalTag/tenant}/*"}
    assert allowed(statement, "s3:GetObject", OBJECT, **{"aws__principaltag/tenant": ["acme"]})
    assert not allowed(statement, "s3:GetObject", OBJECT, **{"aws__principaltag/tenant": ["*"]})
    assert not allowed(statement, "s3:GetObject", OBJECT)


def test_a_denial_wins_and_nothing_is_allowed_by_silence() -> None:
    allow, deny = {"Action": "s3:*", "Resource": "*"}, {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}
    documents = [policy(allow), policy(deny)]
    assert decide(documents, Request(action="s3:GetObject", resource=OBJECT)).allowed
    assert not decide(documents, Request(action="s3:PutObject", resource=OBJECT)).allowed
    assert not decide([], Request(action="s3:GetObject", resource=OBJECT)).allowed


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ["arn:aws:iam::1:role/a"]}, True),
        ({"AWS": "arn:aws:iam::1:role/b"}, False),
        ({"Service": "events.amazonaws.com"}, False),
    ],
)
def test_a_resources_policy_speaks_of_whom_it_names(principal: Any, named: bool) -> None:
    document = policy({"Action": "s3:GetObject", "Resource": "*", "Principal": principal})
    request = Request(action="s3:GetObject", resource=OBJECT)
    assert decide([document], request, ("AWS", "arn:aws:iam::1:role/a")).allowed is named


def test_an_operator_that_is_not_known_fails_loudly() -> None:
    statement = {"Action": "*", "Resource": "*", "Condition": {"StringSounds": {"k": "a"}}}
    with pytest.raises(NotImplementedError, match="StringSounds"):
        allowed(statement, "s3:GetObject", OBJECT)
