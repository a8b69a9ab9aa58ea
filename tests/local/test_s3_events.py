"""Uploads become events, and bucket policies do not lock everybody out."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local.functions import Function, eventually, queue, received
from tests.local.test_events import rule

SECURE_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    """A versioned bucket with EventBridge on."""
    name, s3 = f"b-{uuid.uuid4().hex[:8]}", cloud.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    return name


def test_an_upload_reaches_a_function_with_the_key_as_it_is(cloud: Cloud, bucket: str) -> None:
    function = Function(cloud, "import json\ndef handler(e, c):\n    print(json.dumps(e))\n")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"wildcard": "*/inbox/*"}]}},
    }
    rule(cloud, pattern, {"Arn": function.arn})
    key = "acme/digits/inbox/ä b+%41 🙂.csv"
    made = cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"12345")
    cloud.client("s3").put_object(Bucket=bucket, Key="acme/digits/other/x", Body=b"1")
    event = eventually(function.printed)[0]
    assert event["resources"] == [f"arn:aws:s3:::{bucket}"]
    described = event["detail"]["object"]
    assert (described["key"], described["size"], described["version-id"]) == (key, 5, made["VersionId"])
    assert described["etag"] == made["ETag"].strip('"')
    assert event["detail"]["reason"] == "PutObject"
    assert len(function.printed()) == 1


def test_copies_and_multipart_uploads_say_so_and_sequencers_grow(cloud: Cloud, bucket: str) -> None:
    (url, arn), s3 = queue(cloud), cloud.client("s3")
    rule(cloud, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, {"Arn": arn})
    seen = []

    def next_detail() -> dict[str, Any]:
        event = json.loads(received(cloud, url)["Body"])
        seen.append(event["detail"]["object"]["sequencer"])
        return {**event["detail"], "type": event["detail-type"]}

    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert next_detail()["reason"] == "PutObject"
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    assert next_detail()["reason"] == "CopyObject"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="c", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="c", UploadId=upload, MultipartUpload=parts)
    assert next_detail()["reason"] == "CompleteMultipartUpload"
    version = s3.head_object(Bucket=bucket, Key="c")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="c", VersionId=version)
    deleted = next_detail()
    assert (deleted["type"], deleted["deletion-type"]) == ("Object Deleted", "Permanently Deleted")
    assert seen == sorted(seen)
    assert len(set(seen)) == 4


def test_deny_without_tls_does_not_lock_the_laptop_out(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(SECURE_ONLY))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    unconditional = json.loads(json.dumps(SECURE_ONLY))
    del unconditional["Statement"][0]["Condition"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(unconditional))
    with pytest.raises(ClientError, match="403"):
        s3.get_object(Bucket=bucket, Key="k")


def test_aws_managed_policies_can_be_attached_but_not_invented_ones(cloud: Cloud) -> None:
    iam, name = cloud.client("iam"), f"r-{uuid.uuid4().hex[:8]}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [arn]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AllOfIt")


def test_a_bucket_says_that_its_events_go_to_eventbridge(cloud: Cloud, bucket: str) -> None:
    s3, (_, arn) = cloud.client("s3"), queue(cloud)
    config: dict[str, Any] = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    config["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    both = {"EventBridgeConfiguration": {}, "QueueConfigurations": [config]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=both)
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert found["EventBridgeConfiguration"] == {}
    assert found["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"][0]["Value"] == "in/"


def test_moto_itself_writes_other_details(vanilla: Any) -> None:
    s3, sqs, events = (vanilla.client(service) for service in ("s3", "sqs", "events"))
    s3.create_bucket(Bucket="bkt")
    s3.put_bucket_notification_configuration(Bucket="bkt", NotificationConfiguration={"EventBridgeConfiguration": {}})
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket="bkt")
    events.put_rule(Name="s3", EventPattern='{"source": ["aws.s3"]}')
    events.put_targets(Rule="s3", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}])
    s3.put_object(Bucket="bkt", Key="k", Body=b"x")
    detail = json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])["detail"]
    assert "etag" not in detail["object"]
    assert detail.get("reason") != "PutObject"
    events.remove_targets(Rule="s3", Ids=["1"])


def test_moto_itself_locks_everybody_out_and_has_no_managed_policies(vanilla: Any) -> None:
    s3, iam = vanilla.client("s3"), vanilla.client("iam")
    s3.create_bucket(Bucket="locked")
    s3.put_bucket_policy(Bucket="locked", Policy=json.dumps(SECURE_ONLY))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="locked", Key="k", Body=b"x")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    with pytest.raises(ClientError):
        iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def delete_past_locks(client: Any) -> None:
    """Delete what no lock holds, in both ways, and ask to get past its lock."""
    client.create_bucket(Bucket="lockless")
    client.delete_object(Bucket="lockless", Key="k", BypassGovernanceRetention=True)
    client.delete_objects(Bucket="lockless", Delete={"Objects": [{"Key": "k"}]}, BypassGovernanceRetention=True)


def test_locks_are_spoken_of_only_where_there_are_some(cloud: Cloud, vanilla: Any) -> None:
    with pytest.raises(ClientError, match=r"InvalidArgument.*only applicable to Object Lock enabled buckets"):
        delete_past_locks(cloud.client("s3"))
    delete_past_locks(vanilla.client("s3"))  # moto itself hears of them everywhere
