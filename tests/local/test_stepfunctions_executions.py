"""Executions are named, stopped, described, redriven and published as AWS does it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local.conftest import Vanilla
from tests.local.machines import Endpoint, create, ended, start, wait_for

QUICK: dict[str, Any] = {"Show": {"Type": "Succeed"}}
FOREVER: dict[str, Any] = {"Wait": {"Type": "Wait", "Seconds": 99999, "End": True}}


def error_code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_executions_without_a_name_get_one_each(cloud: Cloud) -> None:
    sfn, machine = cloud.client("stepfunctions"), create(cloud, QUICK)
    names = {sfn.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)}
    assert len(names) == 3
    assert all(not name.endswith(":None") for name in names)


def test_vanilla_moto_names_them_all_none(vanilla: Vanilla) -> None:
    sfn, machine = vanilla.client("stepfunctions"), create(vanilla, QUICK)
    assert sfn.start_execution(stateMachineArn=machine)["executionArn"].endswith(":None")


def test_the_same_name_and_input_is_the_same_execution_while_it_runs(cloud: Cloud) -> None:
    sfn, machine = cloud.client("stepfunctions"), create(cloud, FOREVER)
    with ThreadPoolExecutor(6) as pool:
        starts = list(
            pool.map(lambda _: sfn.start_execution(stateMachineArn=machine, name="once", input='{"a": 1}'), range(6))
        )
    assert len({answer["executionArn"] for answer in starts}) == 1
    assert error_code(sfn.start_execution, stateMachineArn=machine, name="once", input="{}") == "ExecutionAlreadyExists"
    sfn.stop_execution(executionArn=starts[0]["executionArn"])
    again = {"stateMachineArn": machine, "name": "once", "input": '{"a": 1}'}
    assert error_code(sfn.start_execution, **again) == "ExecutionAlreadyExists"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "has space"}, "InvalidName"),
        ({"name": "a" * 81}, "ValidationException"),
        ({"input": "{"}, "InvalidExecutionInput"),
        ({"input": json.dumps("x" * 262_144)}, "InvalidExecutionInput"),
    ],
)
def test_impossible_starts_are_refused(cloud: Cloud, arguments: dict[str, str], code: str) -> None:
    sfn, machine = cloud.client("stepfunctions"), create(cloud, QUICK)
    assert error_code(sfn.start_execution, stateMachineArn=machine, **arguments) == code


def test_stop_interrupts_a_wait_and_keeps_error_and_cause(cloud: Cloud) -> None:
    sfn, execution = cloud.client("stepfunctions"), start(cloud, create(cloud, FOREVER))
    wait_for(cloud, execution, "WaitStateEntered")
    begun = time.monotonic()
    sfn.stop_execution(executionArn=execution, error="Operator", cause="enough")
    end = ended(cloud, execution)
    assert time.monotonic() - begun < 2
    assert (end.status, *end.failure) == ("ABORTED", "Operator", "enough")
    assert end.history[-1]["executionAbortedEventDetails"] == {"error": "Operator", "cause": "enough"}


def test_vanilla_moto_loses_error_and_cause_of_a_stop(vanilla: Vanilla) -> None:
    sfn, execution = vanilla.client("stepfunctions"), start(vanilla, create(vanilla, FOREVER))
    wait_for(vanilla, execution, "WaitStateEntered")
    sfn.stop_execution(executionArn=execution, error="Operator", cause="enough")
    end = ended(vanilla, execution)
    assert end.failure != ("Operator", "enough")


def test_stop_interrupts_a_retry(cloud: Cloud) -> None:
    states = {
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Arguments": {"Bucket": "no-such-bucket-here", "Key": "k"},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 99999}],
            "End": True,
        }
    }
    execution = start(cloud, create(cloud, states))
    wait_for(cloud, execution, "TaskFailed")
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert ended(cloud, execution, seconds=2).status == "ABORTED"


def token_task(**fields: Any) -> dict[str, Any]:
    return {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:listTables.waitForTaskToken",
            "Arguments": {"ExclusiveStartTableName": "{% $states.context.Task.Token %}"},
            "End": True,
            **fields,
        }
    }


def token_of(endpoint: Endpoint, execution: str) -> str:
    wait_for(endpoint, execution, "TaskSubmitted")
    scheduled = wait_for(endpoint, execution, "TaskScheduled")["taskScheduledEventDetails"]
    return str(json.loads(scheduled["parameters"])["ExclusiveStartTableName"])


def test_a_token_is_answered_with_success(cloud: Cloud) -> None:
    sfn, execution = cloud.client("stepfunctions"), start(cloud, create(cloud, token_task()))
    token = token_of(cloud, execution)
    sfn.send_task_success(taskToken=token, output='{"ok": "é"}')
    assert ended(cloud, execution).output == {"ok": "é"}
    assert error_code(sfn.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    assert error_code(sfn.send_task_success, taskToken="unknown", output="{}") == "InvalidToken"


def test_a_token_is_answered_with_failure_and_its_cause(cloud: Cloud) -> None:
    execution = start(cloud, create(cloud, token_task()))
    token = token_of(cloud, execution)
    cloud.client("stepfunctions").send_task_failure(taskToken=token, error="Refused", cause="not good enough")
    assert ended(cloud, execution).failure == ("Refused", "not good enough")


def test_a_missing_heartbeat_fails_the_task_and_beats_keep_it_alive(cloud: Cloud) -> None:
    catcher = {"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Late", "Output": "{% $states.errorOutput.Error %}"}
    states = {**token_task(HeartbeatSeconds=25, Catch=[catcher]), "Late": {"Type": "Succeed"}}
    sfn, execution = cloud.client("stepfunctions"), start(cloud, create(cloud, states))
    token = token_of(cloud, execution)
    for _ in range(4):  # 0.5 s may pass between beats at this clock scale
        time.sleep(0.2)
        sfn.send_task_heartbeat(taskToken=token)
    assert sfn.describe_execution(executionArn=execution)["status"] == "RUNNING"
    assert ended(cloud, execution).output == "States.Timeout"


def test_a_redrive_goes_on_from_the_failed_state(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    states = {
        "Remember": {"Type": "Pass", "Assign": {"word": "{% $uuid() %}"}, "Output": "{% $uuid() %}", "Next": "Read"},
        "Read": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Arguments": {"Bucket": "redriven-bucket", "Key": "k"},
            "Output": {
                "body": "{% $states.result.Body %}",
                "n": "{% $states.context.Execution.RedriveCount %}",
                "w": "{% $word %}",
            },
            "End": True,
        },
    }
    sfn, execution = cloud.client("stepfunctions"), start(cloud, create(cloud, states))
    failed = ended(cloud, execution)
    assert (failed.status, failed.described["redriveStatus"]) == ("FAILED", "REDRIVABLE")
    s3.create_bucket(Bucket="redriven-bucket")
    s3.put_object(Bucket="redriven-bucket", Key="k", Body=b"here")
    sfn.redrive_execution(executionArn=execution)
    end = ended(cloud, execution)
    assigned = end.events("PassStateExited")[0]["stateExitedEventDetails"]["assignedVariables"]
    assert end.output == {"body": "here", "n": 1, "w": json.loads(assigned["word"])}
    assert len(end.events("PassStateEntered")) == 1
    assert end.described["redriveCount"] == 1
    assert error_code(sfn.redrive_execution, executionArn=execution) == "ExecutionNotRedrivable"


def test_vanilla_moto_cannot_redrive(vanilla: Vanilla) -> None:
    states = {"Fail": {"Type": "Fail", "Error": "E", "Cause": "c"}}
    execution = start(vanilla, create(vanilla, states))
    ended(vanilla, execution)
    with pytest.raises(ClientError, match=r"NotImplemented|Internal|500|\(\)"):
        vanilla.client("stepfunctions").redrive_execution(executionArn=execution)


def test_ended_executions_are_listed_with_their_dates(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    machine = create(cloud, {"Fail": {"Type": "Fail", "Error": "E", "Cause": "c"}})
    end = ended(cloud, start(cloud, machine))
    (listed,) = sfn.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"]
    assert listed["stopDate"] == end.described["stopDate"]
    assert end.failure == ("E", "c")
    assert [event["type"] for event in end.history] == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    newest_first = sfn.get_execution_history(executionArn=listed["executionArn"], reverseOrder=True)["events"]
    assert [event["id"] for event in newest_first] == [3, 2, 1]


def test_an_execution_keeps_the_definition_it_started_with(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    machine = create(cloud, {"Wait": {"Type": "Wait", "Seconds": 20, "Output": "old", "End": True}})
    execution = start(cloud, machine)
    changed = {
        "QueryLanguage": "JSONata",
        "StartAt": "New",
        "States": {"New": {"Type": "Pass", "Output": "new", "End": True}},
    }
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(changed))
    assert ended(cloud, execution).output == "old"
    assert ended(cloud, start(cloud, machine)).output == "new"


def test_versions_and_aliases_start_what_they_point_at(cloud: Cloud) -> None:
    sfn = cloud.client("stepfunctions")
    machine = create(cloud, {"Show": {"Type": "Pass", "Output": 1, "End": True}})
    changed = {
        "QueryLanguage": "JSONata",
        "StartAt": "Show",
        "States": {"Show": {"Type": "Pass", "Output": 2, "End": True}},
    }
    version = sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(changed), publish=True)[
        "stateMachineVersionArn"
    ]
    routes = [{"stateMachineVersionArn": version, "weight": 100}]
    alias = sfn.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps({**changed, "Comment": "later"}))
    end = ended(cloud, start(cloud, alias))
    assert (end.output, end.described["stateMachineVersionArn"], end.described["stateMachineAliasArn"]) == (
        2,
        version,
        alias,
    )


def test_history_goes_to_the_log_group_as_configured(cloud: Cloud) -> None:
    sfn, logs = cloud.client("stepfunctions"), cloud.client("logs")
    logs.create_log_group(logGroupName="/machines")
    destination = {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/machines:*"}
    machine = create(cloud, {"Fail": {"Type": "Fail", "Error": "E", "Cause": "c"}})
    for level, with_data in (("ALL", True), ("ERROR", False)):
        logging = {
            "level": level,
            "includeExecutionData": with_data,
            "destinations": [{"cloudWatchLogsLogGroup": destination}],
        }
        sfn.update_state_machine(stateMachineArn=machine, loggingConfiguration=logging)
        execution = start(cloud, machine, {"secret": level})
        ended(cloud, execution)
        stream = "states/" + "/".join(execution.split(":")[-2:])
        written = logs.get_log_events(logGroupName="/machines", logStreamName=stream)["events"]
        lines = [json.loads(event["message"]) for event in written]
        everything = ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
        assert [line["type"] for line in lines] == (everything if level == "ALL" else everything[-1:])
        assert ("secret" in json.dumps(lines)) == with_data


def test_status_changes_are_published(cloud: Cloud) -> None:
    events, sqs = cloud.client("events"), cloud.client("sqs")
    machine = create(cloud, {"Fail": {"Type": "Fail", "Error": "E", "Cause": "c"}})
    queue = sqs.create_queue(QueueName="status-changes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    events.put_rule(Name="status-changes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="status-changes", Targets=[{"Id": "queue", "Arn": arn}])
    end = ended(cloud, start(cloud, machine, {"n": 1}))
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert event["resources"] == [end.described["executionArn"]]
    wanted = {"status": "FAILED", "error": "E", "cause": "c", "input": '{"n": 1}', "output": None}
    assert {key: event["detail"][key] for key in wanted} == wanted
    assert event["detail"]["stopDate"] >= event["detail"]["startDate"] > 1_700_000_000_000
