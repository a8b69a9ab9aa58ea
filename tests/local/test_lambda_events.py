"""Asynchronous invocation: retries, dead letters, destinations; topics and embedded metrics."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local import logs
from local.cloud import Cloud
from tests.local.functions import Function, eventually, packed, queue, received, role

FAILS = "import json\ndef handler(e, c):\n    print(json.dumps([c.aws_request_id]))\n    raise ValueError('no')\n"
ECHO = "import json\ndef handler(e, c):\n    print(json.dumps(e))\n    return {'got': e}\n"


def test_an_event_is_accepted_at_once_and_handled(cloud: Cloud) -> None:
    function = Function(cloud, ECHO)
    assert function.invoke({"a": 1}, InvocationType="Event")["StatusCode"] == 202
    assert eventually(function.printed) == [{"a": 1}]


def test_a_failing_event_is_tried_three_times_and_goes_to_the_dead_letter_queue(cloud: Cloud) -> None:
    url, arn = queue(cloud)
    function = Function(cloud, FAILS, DeadLetterConfig={"TargetArn": arn})
    function.invoke({"a": 1}, InvocationType="Event")
    message = received(cloud, url)
    assert json.loads(message["Body"]) == {"a": 1}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "no"
    assert function.printed() == [[message["MessageAttributes"]["RequestID"]["StringValue"]]] * 3


def test_retries_and_destinations_are_configured_per_function(cloud: Cloud) -> None:
    (failed, failed_arn), (done, done_arn) = queue(cloud), queue(cloud)
    config = {
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": failed_arn}, "OnSuccess": {"Destination": done_arn}},
    }
    bad, good = Function(cloud, FAILS), Function(cloud, ECHO)
    for function in (bad, good):
        function.client.put_function_event_invoke_config(FunctionName=function.name, **config)
        function.invoke({"a": 1}, InvocationType="Event")
    record = json.loads(received(cloud, failed)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responsePayload"]["errorMessage"] == "no"
    assert json.loads(received(cloud, done)["Body"])["responsePayload"] == {"got": {"a": 1}}


def test_a_subscribed_function_is_told_which_message_it_gets(cloud: Cloud) -> None:
    function, sns = Function(cloud, ECHO), cloud.client("sns")
    topic = sns.create_topic(Name="news")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function.arn)
    sent = sns.publish(TopicArn=topic, Message="hello", Subject="hi")["MessageId"]
    record = eventually(function.printed)[0]["Records"][0]["Sns"]
    assert (record["Message"], record["Subject"], record["TopicArn"], record["MessageId"]) == (
        "hello",
        "hi",
        topic,
        sent,
    )


def test_a_subscribed_queue_gets_the_message(cloud: Cloud) -> None:
    (url, arn), sns = queue(cloud), cloud.client("sns")
    topic = sns.create_topic(Name="letters")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    assert json.loads(received(cloud, url)["Body"])["Message"] == "hello"


def test_a_mapped_queue_feeds_its_function(cloud: Cloud) -> None:
    (url, arn), function = queue(cloud), Function(cloud, ECHO)
    function.client.create_event_source_mapping(FunctionName=function.name, EventSourceArn=arn)
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="work")
    assert eventually(function.printed)[0]["Records"][0]["body"] == "work"


def test_embedded_metrics_in_the_log_become_metrics(cloud: Cloud) -> None:
    code = """
from aws_lambda_powertools import Metrics
metrics = Metrics(namespace="Embedded", service="shop")
@metrics.log_metrics
def handler(event, context):
    metrics.add_metric(name="Orders", unit="Count", value=3)
    metrics.add_metric(name="Orders", unit="Count", value=4)
"""
    Function(cloud, code).invoke()
    now = datetime.now(UTC)
    statistics = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="Embedded",
        MetricName="Orders",
        Dimensions=[{"Name": "service", "Value": "shop"}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in statistics) == 7


def test_lines_that_only_look_like_metrics_are_just_lines() -> None:
    assert logs.embedded_metrics('{"_aws": 1}') == []
    assert logs.embedded_metrics('{"_aws": {"CloudWatchMetrics": []}') == []
    assert logs.embedded_metrics('said "_aws"') == []


def test_a_log_stream_comes_back_after_its_group_was_deleted(cloud: Cloud) -> None:
    stream = logs.LogStream(account=cloud.account, region=cloud.region, group="/gone", name="a")
    stream.write(["one"])
    cloud.client("logs").delete_log_group(logGroupName="/gone")
    stream.write(["two", ""])
    events = cloud.client("logs").get_log_events(logGroupName="/gone", logStreamName="a", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["two"]


def test_moto_itself_tells_a_subscribed_function_constants(vanilla: Any) -> None:
    """moto's record comes from LambdaBackend.send_sns_message, whose text says which topic: none."""
    import inspect

    from moto.awslambda.models import LambdaBackend

    assert "arn:aws:sns:EXAMPLE" in inspect.getsource(LambdaBackend.send_sns_message)
    client = vanilla.client("lambda")  # and accepts the subscription all the same
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role(vanilla.client)}
    made = client.create_function(FunctionName="told", Code={"ZipFile": packed("x = 1")}, **settings)
    topic = vanilla.client("sns").create_topic(Name="t")["TopicArn"]
    vanilla.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=made["FunctionArn"])
