"""Tasks call services as Step Functions' integrations do."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

import pytest

from local.cloud import Cloud
from tests.local import sagemaker
from tests.local.conftest import Vanilla
from tests.local.functions import role
from tests.local.machines import create, ended, outcome, run, start, wait_for


def task(resource: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return {
        "Task": {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{resource}",
            "Arguments": arguments,
            "End": True,
            **fields,
        }
    }


STATES = "arn:aws:states:us-east-1:123456789012"
SAGEMAKER_ERROR = "SageMaker.AmazonSageMakerException"
HANDLER = """
class TooSmall(Exception):
    pass

def handler(event, context):
    if event.get("refuse"):
        raise TooSmall(event["refuse"])
    return {"got": event}
"""


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> str:
    """The ARN of a function that returns what it gets, or raises."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", HANDLER)
    created = cloud.client("lambda").create_function(
        FunctionName=f"echo-{uuid.uuid4().hex[:8]}",
        Runtime="python3.12",
        Role=role(cloud.client),
        Handler="index.handler",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=10,
    )
    return str(created["FunctionArn"])


def test_lambda_gets_and_gives_json(cloud: Cloud, function: str) -> None:
    payload = {"text": "{% $states.input.text %}", "list": [1, None]}
    end = run(cloud, task("lambda:invoke", {"FunctionName": function, "Payload": payload}), {"text": 'é "q"\n'})
    assert end.output["Payload"] == {"got": {"text": 'é "q"\n', "list": [1, None]}}
    assert end.output["StatusCode"] == 200
    assert f"START RequestId: {end.output['SdkResponseMetadata']['RequestId']}" in log(cloud, function)


def log(cloud: Cloud, function: str) -> str:
    group = f"/aws/lambda/{function.rpartition(':')[2]}"
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    return "\n".join(event["message"] for event in events)


def test_a_function_itself_may_be_the_resource(cloud: Cloud, function: str) -> None:
    states = {"Task": {"Type": "Task", "Resource": function, "Arguments": {"n": 1}, "End": True}}
    assert run(cloud, states).output == {"got": {"n": 1}}


def test_an_error_of_a_function_is_the_states_error(cloud: Cloud, function: str) -> None:
    catcher = {"ErrorEquals": ["TooSmall"], "Next": "Caught", "Output": "{% $parse($states.errorOutput.Cause) %}"}
    arguments = {"FunctionName": function, "Payload": {"refuse": "no"}}
    states = {**task("lambda:invoke", arguments, Catch=[catcher]), "Caught": {"Type": "Succeed"}}
    output = run(cloud, states).output
    assert (output["errorType"], output["errorMessage"]) == ("TooSmall", "no")
    assert output["stackTrace"]
    assert f"START RequestId: {output['requestId']}" in log(cloud, function)


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    name = f"tasks-{uuid.uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=name)
    cloud.client("s3").put_object(Bucket=name, Key="a key+é", Body='{"a": "é"}'.encode())
    return name


def test_an_object_comes_as_text(cloud: Cloud, bucket: str) -> None:
    arguments = {"Bucket": "{% $states.input.bucket %}", "Key": "a key+é"}
    states = task(
        "aws-sdk:s3:getObject",
        arguments,
        Output={"all": "{% $states.result %}", "a": "{% $parse($states.result.Body).a %}"},
    )
    output = run(cloud, states, {"bucket": bucket}).output
    assert (output["a"], output["all"]["ContentLength"]) == ("é", 11)
    assert output["all"]["LastModified"].endswith("Z")


def test_json_becomes_the_body_of_an_object(cloud: Cloud, bucket: str) -> None:
    run(cloud, task("aws-sdk:s3:putObject", {"Bucket": bucket, "Key": "put", "Body": {"n": "{% 1 + 1 %}"}}))
    assert cloud.client("s3").get_object(Bucket=bucket, Key="put")["Body"].read() == b'{"n":2}'


def test_the_source_of_a_copy_is_encoded_as_the_java_sdk_wants_it(cloud: Cloud, bucket: str) -> None:
    source = "{% $encodeUrlComponent($states.input.bucket & '/a key+é') %}"
    run(cloud, task("aws-sdk:s3:copyObject", {"Bucket": bucket, "Key": "copy", "CopySource": source}),
        {"bucket": bucket})  # fmt: skip
    assert cloud.client("s3").get_object(Bucket=bucket, Key="copy")["Body"].read() == '{"a": "é"}'.encode()


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("aws-sdk:s3:getObject", {"Bucket": "BUCKET", "Key": "no"}, "S3.NoSuchKeyException"),
        ("aws-sdk:s3:headObject", {"Bucket": "BUCKET", "Key": "no"}, "S3.NoSuchKeyException"),
        ("aws-sdk:s3:getBucketPolicy", {"Bucket": "BUCKET"}, "S3.S3Exception"),
        ("aws-sdk:ecr:describeImages", {"RepositoryName": "no"}, "Ecr.RepositoryNotFoundException"),
        ("aws-sdk:sagemaker:describeModel", {"ModelName": "no"}, "SageMaker.SageMakerException"),
        ("aws-sdk:dynamodb:describeTable", {"TableName": "no"}, "DynamoDb.ResourceNotFoundException"),
        (
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": f"{STATES}:execution:m:e"},
            "Sfn.ExecutionDoesNotExistException",
        ),
        ("dynamodb:getItem", {"TableName": "no", "Key": {"k": {"S": "v"}}}, "DynamoDB.ResourceNotFoundException"),
        ("lambda:invoke", {"FunctionName": "no"}, "Lambda.ResourceNotFoundException"),
        ("sagemaker:createEndpoint", {"EndpointName": "e", "EndpointConfigName": "no"}, SAGEMAKER_ERROR),
        ("sns:publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:no", "Message": "m"}, "SNS.NotFoundException"),
    ],
)
def test_errors_are_named_as_on_aws(
    cloud: Cloud, bucket: str, resource: str, arguments: dict[str, Any], error: str
) -> None:
    filled = {key: bucket if value == "BUCKET" else value for key, value in arguments.items()}
    assert run(cloud, task(resource, filled)).failure[0] == error


def test_wrong_types_of_evaluated_arguments_are_a_runtime_error(cloud: Cloud) -> None:
    error, cause = run(cloud, task("aws-sdk:s3:getObject", {"Bucket": "{% 7 %}", "Key": "k"})).failure
    assert error == "States.Runtime"
    assert cause is not None
    assert "'Bucket' must be a STRING, but was 7" in cause


@pytest.fixture(scope="module")
def table(cloud: Cloud) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    cloud.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.mark.parametrize(("service", "prefix"), [("dynamodb", "DynamoDB"), ("aws-sdk:dynamodb", "DynamoDb")])
def test_conditions_of_dynamodb(cloud: Cloud, table: str, service: str, prefix: str) -> None:
    arguments = {
        "TableName": table,
        "Item": {"pk": {"S": f"{{% 'lease-' & '{prefix}' %}}"}, "n": {"N": "1"}, "null": {"NULL": True}},
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    machine = create(cloud, task(f"{service}:putItem", arguments))
    assert ended(cloud, start(cloud, machine)).status == "SUCCEEDED"
    assert ended(cloud, start(cloud, machine)).failure[0] == f"{prefix}.ConditionalCheckFailedException"
    read = {"TableName": table, "Key": {"pk": {"S": f"lease-{prefix}"}}, "ConsistentRead": True}
    output = "{% $states.result.Item.n.N %}"
    assert run(cloud, task(f"{service}:getItem", read, Output=output)).output == "1"


def test_a_message_may_be_json(cloud: Cloud) -> None:
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    topic = sns.create_topic(Name="news")["TopicArn"]
    queue = sqs.create_queue(QueueName="news")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    run(cloud, task("sns:publish", {"TopicArn": topic, "Message": {"n": "{% 2 %}"}, "Subject": "s"}))
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"]) == {"n": 2}


def test_events_carry_their_execution(cloud: Cloud) -> None:
    sqs, events = cloud.client("sqs"), cloud.client("events")
    queue = sqs.create_queue(QueueName="own-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="own", EventPattern='{"source": ["tandem.test"]}')
    events.put_targets(Rule="own", Targets=[{"Id": "q", "Arn": arn}])
    entry = {"Source": "tandem.test", "DetailType": "Test", "Detail": {"n": "{% 1 %}"}}
    end = run(cloud, task("events:putEvents", {"Entries": [entry]}))
    assert end.output["FailedEntryCount"] == 0
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert (event["detail"], event["resources"][1]) == ({"n": 1}, end.described["executionArn"])


# Nested executions


ECHO = {"Show": {"Type": "Pass", "Output": {"got": "{% $states.input.a %}"}, "End": True}}
CHILD_FAILS = {"Fail": {"Type": "Fail", "Error": "Inner", "Cause": "deep down"}}


def nested(pattern: str, machine: str, **fields: Any) -> dict[str, Any]:
    return task(f"states:startExecution{pattern}", {"StateMachineArn": machine, "Input": {"a": "{% 'é' %}"}}, **fields)


def test_a_child_is_started_or_waited_for(cloud: Cloud) -> None:
    child = create(cloud, ECHO)
    outputs = {pattern: run(cloud, nested(pattern, child)).output for pattern in ("", ".sync", ".sync:2")}
    assert set(outputs[""]) == {"ExecutionArn", "StartDate"}
    assert outputs[".sync"]["Output"] == '{"got":"é"}'
    assert (outputs[".sync:2"]["Output"], outputs[".sync:2"]["Input"]) == ({"got": "é"}, {"a": "é"})
    assert outputs[".sync:2"]["Status"] == "SUCCEEDED"


def test_a_failed_child_fails_the_task_with_its_error_and_cause(cloud: Cloud) -> None:
    error, cause = run(cloud, nested(".sync:2", create(cloud, CHILD_FAILS))).failure
    assert (error, cause is not None) == ("States.TaskFailed", True)
    described = json.loads(cause or "")
    assert (described["Status"], described["Error"], described["Cause"]) == ("FAILED", "Inner", "deep down")


def test_stopping_the_parent_stops_the_child(cloud: Cloud) -> None:
    child = create(cloud, {"Wait": {"Type": "Wait", "Seconds": 99999, "End": True}})
    parent = start(cloud, create(cloud, nested(".sync:2", child)))
    submitted = wait_for(cloud, parent, "TaskSubmitted")["taskSubmittedEventDetails"]["output"]
    cloud.client("stepfunctions").stop_execution(executionArn=parent)
    assert ended(cloud, json.loads(submitted)["ExecutionArn"], seconds=3).status == "ABORTED"


def test_a_taken_name_is_an_error_of_its_own(cloud: Cloud) -> None:
    child = create(cloud, ECHO)
    arguments = {"StateMachineArn": child, "Name": "one", "Input": {"a": 1}}
    assert run(cloud, task("states:startExecution.sync", arguments)).status == "SUCCEEDED"
    failure = run(cloud, task("states:startExecution.sync", arguments)).failure
    assert failure[0] == "StepFunctions.ExecutionAlreadyExistsException"


# Jobs


def test_a_training_job_is_waited_for(cloud: Cloud) -> None:
    request = sagemaker.training(sagemaker.bucket(cloud), "echo hello")
    end = run(cloud, task("sagemaker:createTrainingJob.sync", request))
    assert (end.status, end.output["TrainingJobStatus"]) == ("SUCCEEDED", "Completed")
    assert end.output["TrainingJobName"] == request["TrainingJobName"]
    assert [event["type"] for event in end.history].count("TaskSubmitted") == 1


def test_a_failed_training_job_is_told_in_the_cause(cloud: Cloud) -> None:
    request = sagemaker.training(sagemaker.bucket(cloud), "echo 'no good' > $SAGEMAKER_BASE_DIR/output/failure; exit 3")
    error, cause = run(cloud, task("sagemaker:createTrainingJob.sync", request)).failure
    assert error == "States.TaskFailed"
    described = json.loads(cause or "")
    assert described["TrainingJobStatus"] == "Failed"
    assert "FailureReason" in described


def test_a_name_used_twice_is_an_error_of_creation(cloud: Cloud) -> None:
    machine = create(
        cloud, task("sagemaker:createTrainingJob.sync", sagemaker.training(sagemaker.bucket(cloud), "true"))
    )
    assert ended(cloud, start(cloud, machine)).status == "SUCCEEDED"
    assert ended(cloud, start(cloud, machine)).failure[0] == "SageMaker.AmazonSageMakerException"


def test_stopping_the_execution_stops_the_job(cloud: Cloud) -> None:
    request = sagemaker.training(sagemaker.bucket(cloud), "trap 'exit 0' TERM; sleep 60 & wait")
    execution = start(cloud, create(cloud, task("sagemaker:createTrainingJob.sync", request)))
    wait_for(cloud, execution, "TaskSubmitted")
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert ended(cloud, execution, seconds=5).status == "ABORTED"
    described = cloud.client("sagemaker").describe_training_job(TrainingJobName=request["TrainingJobName"])
    assert described["TrainingJobStatus"] in ("Stopping", "Stopped")


@pytest.mark.parametrize(
    ("resource", "arguments"),
    [
        ("aws-sdk:s3:headObject", {"Bucket": "no-such", "Key": "k"}),
        ("sagemaker:createModel", {"ModelName": "m", "PrimaryContainer": {"ModelDataUrl": "s3://b/m"}}),
        ("states:startExecution.sync:2", {"StateMachineArn": f"{STATES}:stateMachine:no"}),
    ],
)
def test_vanilla_moto_does_otherwise(cloud: Cloud, vanilla: Vanilla, resource: str, arguments: dict[str, Any]) -> None:
    assert outcome(cloud, task(resource, arguments)) != outcome(vanilla, task(resource, arguments))


def test_a_failed_build_fails_the_task_with_the_build_as_cause(cloud: Cloud, bucket: str) -> None:
    name = f"image-{uuid.uuid4().hex[:8]}"
    cloud.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": f"{bucket}/no-source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole="arn:aws:iam::123456789012:role/builder",
    )
    error, cause = run(cloud, task("codebuild:startBuild.sync", {"ProjectName": name})).failure
    assert error == "States.TaskFailed"
    build = json.loads(cause or "")["Build"]
    assert (build["ProjectName"], build["BuildStatus"]) == (name, "FAILED")
