"""CloudTrail tells the bus who called what, as far as a trail logs it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.cloud import Cloud

Heard = Callable[[str], dict[str, Any]]
OBJECTS = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
WRITES = [{"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "readOnly", "Equals": ["false"]}]


@pytest.fixture
def trail(cloud: Cloud) -> Iterator[str]:
    """A trail that logs what is written to one bucket."""
    client, bucket, name = cloud.client("cloudtrail"), "watched-objects", "trail-of-a-test"
    cloud.client("s3").create_bucket(Bucket=bucket)
    client.create_trail(Name=name, S3BucketName=bucket)
    fields = [*OBJECTS, {"Field": "resources.ARN", "StartsWith": [f"arn:aws:s3:::{bucket}/"]}]
    selectors = [{"FieldSelectors": fields}, {"FieldSelectors": WRITES}]
    client.put_event_selectors(TrailName=name, AdvancedEventSelectors=selectors)
    client.start_logging(Name=name)
    yield bucket
    client.delete_trail(Name=name)


@pytest.fixture
def heard(cloud: Cloud) -> Iterator[Heard]:
    """Listens to the bus; returns the record that has some text in it."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = sqs.create_queue(QueueName="calls-of-a-test")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="calls", EventPattern=json.dumps({"detail-type": ["AWS API Call via CloudTrail"]}))
    events.put_targets(Rule="calls", Targets=[{"Id": "q", "Arn": arn}])

    def hear(said: str) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                event: dict[str, Any] = json.loads(message["Body"])
                if said in message["Body"]:
                    return event
            time.sleep(0.05)
        raise TimeoutError(said)

    yield hear
    events.remove_targets(Rule="calls", Ids=["q"])
    events.delete_rule(Name="calls")
    sqs.delete_queue(QueueUrl=url)


def test_who_wrote_an_object_is_told_where_a_trail_logs_it(cloud: Cloud, trail: str, heard: Heard) -> None:
    cloud.client("iam").create_user(UserName="ada")
    key = cloud.client("iam").create_access_key(UserName="ada")["AccessKey"]
    ada = cloud.make_client("s3", key["AccessKeyId"], key["SecretAccessKey"])
    cloud.client("s3").create_bucket(Bucket="unwatched-objects")
    ada.put_object(Bucket="unwatched-objects", Key="first.csv", Body=b"nobody hears of this")
    ada.put_object(Bucket=trail, Key="rows.csv", Body=b"1,2,3")
    event = heard(".csv")
    record = event["detail"]
    assert event["source"] == "aws.s3"
    assert (record["eventName"], record["eventCategory"], record["readOnly"]) == ("PutObject", "Data", False)
    assert record["requestParameters"] == {"bucketName": trail, "key": "rows.csv"}
    assert record["userIdentity"]["arn"].endswith(":user/ada")
    assert "1,2,3" not in json.dumps(event)


def test_a_refused_call_and_one_without_a_trail_are_not_told(cloud: Cloud, trail: str, heard: Heard) -> None:
    states = cloud.client("stepfunctions")
    with pytest.raises(states.exceptions.ClientError):
        states.stop_execution(executionArn="arn:aws:states:us-east-1:123456789012:execution:none:none")
    cloud.client("cloudtrail").stop_logging(Name="trail-of-a-test")
    cloud.client("s3").put_object(Bucket=trail, Key="unheard.csv", Body=b"")
    cloud.client("cloudtrail").start_logging(Name="trail-of-a-test")
    cloud.client("s3").put_object(Bucket=trail, Key="last.csv", Body=b"")
    assert heard("")["detail"]["requestParameters"]["key"] == "last.csv"
