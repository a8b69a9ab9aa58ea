"""Events reach the targets of the rules they match."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import events
from local.cloud import Cloud
from local.event_input import target_text
from local.event_pattern import InvalidPattern, check, matches
from local.event_schedules import is_due
from local.pattern_complexity import complexity
from tests.local.functions import Function, eventually, queue, received

ECHO = "import json\ndef handler(e, c):\n    print(json.dumps(e))\n"


def rule(cloud: Cloud, pattern: dict[str, Any], *targets: dict[str, Any]) -> str:
    """Put a rule with its targets; return its name."""
    name, client = f"r-{uuid.uuid4().hex[:8]}", cloud.client("events")
    client.put_rule(Name=name, EventPattern=json.dumps(pattern))
    client.put_targets(Rule=name, Targets=[{"Id": str(index), **target} for index, target in enumerate(targets)])
    return name


def put(cloud: Cloud, source: str, **detail: Any) -> None:
    entry = {"Source": source, "DetailType": "t", "Detail": json.dumps(detail)}
    answer = cloud.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0


class TestSchedules:
    @pytest.mark.parametrize(
        ("expression", "scale", "due"),
        [
            ("rate(15 minutes)", 1.0, [15, 30]),
            ("rate(15 minutes)", 0.2, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]),
            ("cron(0 8 * * ? *)", 0.2, [20]),
        ],
    )
    def test_a_rate_follows_the_clock_and_a_time_of_day_does_not(
        self, expression: str, scale: float, due: list[int]
    ) -> None:
        made = datetime(2026, 11, 21, 7, 40, tzinfo=UTC)
        ends = [made + timedelta(minutes=number) for number in range(31)]
        looks = range(1, 31)
        found = [number for number in looks if is_due(expression, made, ends[number - 1], ends[number], scale)]
        assert found == due

    def test_a_rule_with_a_rate_tells_its_targets_until_it_is_disabled(self, cloud: Cloud) -> None:
        client, name, (url, arn) = cloud.client("events"), f"r-{uuid.uuid4().hex[:8]}", queue(cloud)
        client.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
        client.put_targets(Rule=name, Targets=[{"Id": "0", "Arn": arn}])
        event = json.loads(received(cloud, url)["Body"])
        assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
        client.remove_targets(Rule=name, Ids=["0"])
        client.delete_rule(Name=name)

    def test_what_is_no_schedule_is_refused(self, cloud: Cloud) -> None:
        with pytest.raises(ClientError, match="ScheduleExpression"):
            cloud.client("events").put_rule(Name="r-never", ScheduleExpression="rate(now and then)")


@pytest.mark.parametrize(
    ("leaf", "value", "expected"),
    [
        (["a", "b"], "b", True),
        (["a"], ["x", "a"], True),
        ([None], None, True),
        ([1], True, False),
        ([{"prefix": "in/"}], "in/x", True),
        ([{"prefix": {"equals-ignore-case": "IN"}}], "inbox", True),
        ([{"suffix": ".csv"}], "x.csv", True),
        ([{"suffix": [".csv", ".zip"]}], "x.zip", True),
        ([{"wildcard": "*/inbox/*"}], "a/b/inbox/c d+%.csv", True),
        ([{"wildcard": "*/inbox/*"}], "inbox/c", False),
        ([{"wildcard": r"a\*b"}], "a*b", True),
        ([{"wildcard": r"a\*b"}], "axb", False),
        ([{"wildcard": "a.c"}], "abc", False),
        ([{"anything-but": "x"}], "y", True),
        ([{"anything-but": ["x", "y"]}], "y", False),
        ([{"anything-but": {"prefix": "tmp/"}}], "tmp/x", False),
        ([{"anything-but": {"wildcard": "*/t/*"}}], "a/t/b", False),
        ([{"exists": False}], "x", False),
        ([{"exists": True}], None, True),
        ([{"numeric": [">", 0, "<=", 5]}], 5, True),
        ([{"numeric": [">", 0, "<=", 5]}], 5.1, False),
        ([{"numeric": ["=", 5]}], "5", False),
        ([{"equals-ignore-case": "DONE"}], "Done", True),
        ([{"cidr": "10.0.0.0/8"}], "10.1.2.3", True),
    ],
)
def test_patterns(leaf: list[Any], value: Any, expected: bool) -> None:
    pattern = {"detail": {"x": leaf}}
    check(pattern)
    assert matches(pattern, {"detail": {"x": value}}) is expected


def test_patterns_of_absent_fields_alternatives_and_arrays_of_objects() -> None:
    event = {"detail": {"list": [{"a": 1}, {"a": 2}], "b": "x"}}
    assert matches({"detail": {"absent": [{"exists": False}]}}, event)
    assert not matches({"detail": {"absent": [{"anything-but": "x"}]}}, event)
    assert matches({"detail": {"$or": [{"b": ["y"]}, {"list": {"a": [2]}}]}}, event)
    assert not matches({"detail": {"b": {"deeper": ["x"]}}}, event)


@pytest.mark.parametrize("pattern", [{}, {"a": "x"}, {"a": []}, {"a": [{"wildcrd": "x"}]}, {"a": {}}])
def test_patterns_that_eventbridge_refuses(pattern: dict[str, Any]) -> None:
    with pytest.raises(InvalidPattern):
        check(pattern)


@pytest.mark.parametrize(
    ("expected", "patterns"),
    [
        (1, ["*"]), (3, ["*", "ab*c"]), (3, ["*aa"]), (4, ["*ab*ad"]), (4, ["*abc", "*abcde"]), (7, ["*ab*b*b*"]),
        (17, ["*a*a*a*a*a*a*a*a*"]), (7, ["a*aaa", "aa*aa"]), (6, ["ab*cd", "ab*wx", "ab*yz"]), (5, ["a*aa", "aaa*"]),
    ],
    ids=str,
)  # fmt: skip
def test_wildcards_are_as_complex_as_event_ruler_s_own_tests_say(expected: int, patterns: list[str]) -> None:
    assert complexity(patterns) == expected


def test_a_rule_whose_wildcards_are_too_complex_is_refused(cloud: Cloud) -> None:
    pattern = {"detail": {"alarmName": [{"wildcard": "*--*--*--*--errors"}]}}
    with pytest.raises(ClientError, match="Rule is too complex"):
        cloud.client("events").put_rule(Name="too-complex", EventPattern=json.dumps(pattern))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"Input": '{"fixed": 1}'}, '{"fixed": 1}'),
        ({"InputPath": "$.detail.key"}, r'"a \"b\""'),
        ({"InputPath": "$.resources[0]"}, '"arn"'),
    ],
)
def test_what_a_target_gets(target: dict[str, Any], text: str) -> None:
    event = {"detail": {"key": 'a "b"'}, "resources": ["arn"], "time": "now"}
    assert target_text(target, event, {"name": "r", "arn": "r-arn"}) == text


def test_an_input_transformer_fills_json_and_text() -> None:
    transformer = {
        "InputPathsMap": {"key": "$.detail.key", "all": "$.detail", "none": "$.detail.none"},
        "InputTemplate": '{"key": <key>, "text": "is <key>, by <aws.events.rule-name>", "all": <all>, "none": <none>}',
    }
    event = {"detail": {"key": 'a "b"'}, "time": "now"}
    text = target_text({"InputTransformer": transformer}, event, {"name": "r", "arn": "r-arn"})
    expected = {"key": 'a "b"', "text": 'is a "b", by r', "all": {"key": 'a "b"'}, "none": None}
    assert json.loads(text) == expected


def test_a_matching_event_reaches_function_queue_topic_and_log_group(cloud: Cloud) -> None:
    function, (url, arn), (told, told_arn) = Function(cloud, ECHO), queue(cloud), queue(cloud)
    topic = cloud.client("sns").create_topic(Name="events")["TopicArn"]
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    group = f"arn:aws:logs:us-east-1:{cloud.account}:log-group:/events/all"
    targets = [{"Arn": function.arn}, {"Arn": arn, "InputPath": "$.detail"}, {"Arn": topic}, {"Arn": group}]
    rule(cloud, {"source": ["shop"], "detail": {"n": [{"numeric": [">", 1]}]}}, *targets)
    put(cloud, "shop", n=1)
    put(cloud, "shop", n=2)
    event = eventually(function.printed)[0]
    assert (event["source"], event["detail"], event["account"]) == ("shop", {"n": 2}, cloud.account)
    assert json.loads(received(cloud, url)["Body"]) == {"n": 2}
    assert json.loads(json.loads(received(cloud, told)["Body"])["Message"])["detail"] == {"n": 2}
    logs = cloud.client("logs")
    found = eventually(lambda: logs.filter_log_events(logGroupName="/events/all")["events"])
    assert json.loads(found[0]["message"])["detail"] == {"n": 2}


def test_a_matching_event_starts_a_state_machine(cloud: Cloud) -> None:
    states = cloud.client("stepfunctions")
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Pass",
        "States": {"Pass": {"Type": "Pass", "Output": "{% $states.input.detail %}", "End": True}},
    }
    arn = states.create_state_machine(
        name="event-target", definition=json.dumps(definition), roleArn=f"arn:aws:iam::{cloud.account}:role/r"
    )["stateMachineArn"]
    rule(cloud, {"source": ["starter"]}, {"Arn": arn, "RoleArn": "arn:aws:iam::123456789012:role/r"})
    put(cloud, "starter", n=7)
    done = eventually(
        lambda: states.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"], seconds=20
    )
    output = states.describe_execution(executionArn=done[0]["executionArn"])["output"]
    assert json.loads(output) == {"n": 7}


def test_an_undeliverable_event_is_retried_and_goes_to_the_dead_letter_queue(cloud: Cloud) -> None:
    url, arn = queue(cloud)
    missing = "arn:aws:lambda:us-east-1:123456789012:function:nobody"
    target = {"Arn": missing, "RetryPolicy": {"MaximumRetryAttempts": 2}, "DeadLetterConfig": {"Arn": arn}}
    name = rule(cloud, {"source": ["lost"]}, target)
    put(cloud, "lost", n=1)
    message = received(cloud, url)
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert json.loads(message["Body"])["detail"] == {"n": 1}
    assert attributes["RULE_ARN"].endswith(name)
    assert attributes["TARGET_ARN"] == missing
    assert attributes["ERROR_CODE"] == "ResourceNotFoundException"


def test_a_disabled_rule_delivers_nothing(cloud: Cloud) -> None:
    url, arn = queue(cloud)
    cloud.client("events").disable_rule(Name=rule(cloud, {"source": ["off"]}, {"Arn": arn}))
    rule(cloud, {"source": ["off"]}, {"Arn": arn, "Input": '"second"'})
    put(cloud, "off")
    assert received(cloud, url)["Body"] == '"second"'
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=url)


def test_services_publish_events_too(cloud: Cloud) -> None:
    url, arn = queue(cloud)
    rule(cloud, {"source": ["aws.test"], "detail-type": ["Job Changed"]}, {"Arn": arn})
    events.publish(cloud, source="aws.test", detail_type="Job Changed", detail={"a": 1}, resources=["arn:job"])
    event = json.loads(received(cloud, url)["Body"])
    assert (event["detail"], event["resources"], event["region"]) == ({"a": 1}, ["arn:job"], "us-east-1")


def test_a_wrong_pattern_is_refused_and_a_pattern_can_be_tried(cloud: Cloud) -> None:
    client = cloud.client("events")
    with pytest.raises(ClientError, match=r"Unrecognized match type wildcrd at detail\.key"):
        client.put_rule(Name="wrong", EventPattern='{"detail": {"key": [{"wildcrd": "*"}]}}')
    event = {"id": "1", "source": "a", "account": "1", "time": "2026-01-01T00:00:00Z", "region": "r"}
    text = json.dumps({**event, "resources": [], "detail-type": "t", "detail": {}})
    assert client.test_event_pattern(EventPattern='{"source": ["a"]}', Event=text)["Result"] is True
    assert client.test_event_pattern(EventPattern='{"source": ["b"]}', Event=text)["Result"] is False


def test_moto_itself_delivers_to_no_function_and_accepts_any_operator(vanilla: Any) -> None:
    client = vanilla.client("events")
    client.put_rule(Name="wrong", EventPattern='{"source": [{"wildcrd": "*"}]}')
    client.put_rule(Name="r", EventPattern='{"source": ["x"]}')
    client.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}])
    with pytest.raises(ClientError):
        client.put_events(Entries=[{"Source": "x", "DetailType": "t", "Detail": "{}"}])
