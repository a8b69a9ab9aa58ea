"""The laptop cloud refuses a role what its policies do not allow, as AWS would, and notes what every role did."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from local.calls import Called
from local.cloud import Cloud
from local.delivery import deliver
from tests.local.functions import Function, role

REGION = "arn:aws:{service}:us-east-1:123456789012:{name}"
Make = Callable[..., str]


def allow(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def may(cloud: Cloud, *statements: dict[str, Any]) -> str:
    """Make a role that may do this and nothing else."""
    return role(cloud.client, {"Version": "2012-10-17", "Statement": list(statements) or [allow("none:Nothing")]})


def refusal(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return dict(caught.value.response)


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    name = f"b-{uuid.uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=name)
    cloud.client("s3").put_object(Bucket=name, Key="acme/rows ä.csv", Body=b"a")
    return name


@pytest.fixture(scope="module")
def nobody(cloud: Cloud) -> str:
    """A role that may do nothing."""
    return may(cloud)


def test_an_object_needs_its_own_permission_and_a_missing_one_listing(cloud: Cloud, bucket: str) -> None:
    arn = may(cloud, allow("s3:GetObject", on=f"arn:aws:s3:::{bucket}/acme/*"))
    s3 = cloud.callers.client(arn, "s3")
    assert s3.get_object(Bucket=bucket, Key="acme/rows ä.csv")["Body"].read() == b"a"
    denied = refusal(s3.put_object, Bucket=bucket, Key="acme/x", Body=b"")
    assert denied["Error"]["Code"] == "AccessDenied"
    assert denied["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert denied["Error"]["Message"].endswith(
        f"is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::{bucket}/acme/x "
        "because no identity-based policy allows the s3:PutObject action"
    )
    assert f":assumed-role/{arn.rpartition('/')[2]}/tandem" in denied["Error"]["Message"]
    assert refusal(s3.get_object, Bucket=bucket, Key="other/x")["Error"]["Code"] == "AccessDenied"
    assert refusal(s3.get_object, Bucket=bucket, Key="acme/none")["Error"]["Code"] == "AccessDenied"
    assert refusal(s3.head_object, Bucket=bucket, Key="acme/none")["Error"]["Code"] == "403"
    listing = allow("s3:ListBucket", on=f"arn:aws:s3:::{bucket}", Condition={"StringLikeIfExists": {"s3:prefix": "a*"}})
    s3 = cloud.callers.client(may(cloud, allow("s3:GetObject"), listing), "s3")
    assert refusal(s3.get_object, Bucket=bucket, Key="acme/none")["Error"]["Code"] == "NoSuchKey"
    assert s3.list_objects_v2(Bucket=bucket, Prefix="acme/")["KeyCount"] == 1
    assert refusal(s3.list_objects_v2, Bucket=bucket, Prefix="b")["Error"]["Code"] == "AccessDenied"


def test_copies_and_deletions_are_asked_object_by_object(cloud: Cloud, bucket: str) -> None:
    here = f"arn:aws:s3:::{bucket}"
    s3 = cloud.callers.client(may(cloud, allow("s3:GetObject", "s3:DeleteObject", on=f"{here}/acme/*"),
                                  allow("s3:PutObject", on=f"{here}/copies/*")), "s3")  # fmt: skip
    source = {"Bucket": bucket, "Key": "acme/rows ä.csv"}
    s3.copy_object(Bucket=bucket, Key="copies/1", CopySource=source)
    assert refusal(s3.copy_object, Bucket=bucket, Key="acme/2", CopySource=source)["Error"]["Code"] == "AccessDenied"
    assert refusal(s3.copy_object, Bucket=bucket, Key="copies/2", CopySource={**source, "Key": "copies/1"})
    both = {"Objects": [{"Key": "acme/none"}, {"Key": "copies/1"}]}
    assert "copies/1" in refusal(s3.delete_objects, Bucket=bucket, Delete=both)["Error"]["Message"]
    assert s3.delete_objects(Bucket=bucket, Delete={"Objects": both["Objects"][:1]})


def test_a_buckets_policy_may_deny_what_the_role_may_do(cloud: Cloud) -> None:
    name, s3 = f"b-{uuid.uuid4().hex[:8]}", cloud.client("s3")
    s3.create_bucket(Bucket=name)
    objects = f"arn:aws:s3:::{name}/*"
    denials = [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": objects, "Condition": condition}
        for condition in ({"Bool": {"aws:SecureTransport": "false"}}, {"StringLike": {"aws:PrincipalArn": "*/role-*"}})
    ]
    mine = cloud.callers.client(may(cloud, allow("s3:*")), "s3")
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": denials[:1]}))
    mine.put_object(Bucket=name, Key="x", Body=b"")  # the laptop's connections count as TLS
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": denials}))
    assert refusal(mine.put_object, Bucket=name, Key="x", Body=b"")["Error"]["Code"] == "AccessDenied"


def test_what_is_encrypted_needs_its_key_and_the_keys_policy(cloud: Cloud) -> None:
    kms, s3, name = cloud.client("kms"), cloud.client("s3"), f"b-{uuid.uuid4().hex[:8]}"
    account = {"AWS": "arn:aws:iam::123456789012:root"}
    statement = {"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    key = kms.create_key(Policy=json.dumps(document))["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket=name)
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [default]})
    plain = cloud.callers.client(may(cloud, allow("s3:*")), "s3")
    assert "kms:GenerateDataKey" in refusal(plain.put_object, Bucket=name, Key="x", Body=b"")["Error"]["Message"]
    s3.put_object(Bucket=name, Key="x", Body=b"")
    assert "kms:Decrypt" in refusal(plain.get_object, Bucket=name, Key="x")["Error"]["Message"]
    through = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    able = cloud.callers.client(may(cloud, allow("s3:*"), allow("kms:*", on=key, Condition=through)), "s3")
    able.get_object(Bucket=name, Key="x")
    able.put_object(Bucket=name, Key="y", Body=b"")
    statement["Action"] = "kms:Describe*"
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))
    assert "kms:Decrypt" in refusal(able.get_object, Bucket=name, Key="x")["Error"]["Message"]


def test_a_service_sends_to_an_encrypted_queue_only_with_the_keys_consent(cloud: Cloud) -> None:
    kms, name = cloud.client("kms"), f"q-{uuid.uuid4().hex[:8]}"
    owner = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*",
             "Resource": "*"}  # fmt: skip
    events = {**owner, "Principal": {"Service": "events.amazonaws.com"}}
    key = kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [owner]}))["KeyMetadata"]["Arn"]
    cloud.client("sqs").create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key})
    queue = REGION.format(service="sqs", name=name)
    with pytest.raises(ClientError, match=f"events.amazonaws.com may not use the key of {queue}"):
        deliver(cloud, queue, "{}")
    document = {"Version": "2012-10-17", "Statement": [owner, events]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))
    deliver(cloud, queue, "{}")
    with pytest.raises(ClientError, match=r"cloudwatch\.amazonaws\.com may not use"):
        deliver(cloud, queue, "{}", service="cloudwatch.amazonaws.com")


def test_rows_of_an_encrypted_table_need_its_key(cloud: Cloud) -> None:
    name, key = f"t-{uuid.uuid4().hex[:8]}", cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    cloud.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
    )
    row = {"pk": {"S": "a"}}
    reader = allow("kms:Decrypt", "kms:DescribeKey", on=key)
    reading = cloud.callers.client(may(cloud, allow("dynamodb:*"), reader), "dynamodb")
    assert reading.get_item(TableName=name, Key=row)
    puts = [{"Put": {"TableName": name, "Item": row}}]
    for refused in (
        refusal(reading.put_item, TableName=name, Item=row),
        refusal(reading.transact_write_items, TransactItems=puts),
    ):
        assert f"perform: kms:Encrypt on resource: {key}" in refused["Error"]["Message"]
    writing = cloud.callers.client(may(cloud, allow("dynamodb:*"), allow("kms:*", on=key)), "dynamodb")
    assert writing.transact_write_items(TransactItems=puts)
    nothing = cloud.callers.client(may(cloud, allow("dynamodb:*")), "dynamodb")
    assert "kms:Decrypt" in refusal(nothing.get_item, TableName=name, Key=row)["Error"]["Message"]


def test_a_function_calls_as_its_role_and_every_call_is_noted(cloud: Cloud, bucket: str) -> None:
    code = f"""
import boto3, botocore
def handler(event, context):
    who = boto3.client("sts").get_caller_identity()["Arn"]
    boto3.client("s3").put_object(Bucket={bucket!r}, Key="f/x", Body=b"1")
    try:
        boto3.client("dynamodb").get_item(TableName="t", Key={{"pk": {{"S": "a"}}}})
    except botocore.exceptions.ClientError as error:
        return [who, error.response["Error"]["Code"]]
"""
    put = f"arn:aws:s3:::{bucket}/f/*"
    arn = may(cloud, allow("s3:PutObject", on=put))
    function = Function(cloud, code, Role=arn)
    name = arn.rpartition("/")[2]
    who = f"arn:aws:sts::123456789012:assumed-role/{name}/{function.name}"
    assert function.invoke()["payload"] == [who, "AccessDeniedException"]
    table = REGION.format(service="dynamodb", name="table/t")
    assert {("s3:PutObject", f"arn:aws:s3:::{bucket}/f/x"), ("dynamodb:GetItem", table)} <= cloud.calls.of(arn)
    assert Called(role=arn, action="dynamodb:GetItem", resource=table, allowed=False) in cloud.calls.denied()
    assert {used for used in cloud.calls.used() if used[0] == arn} == {(arn, "s3:PutObject", put)}


def test_a_state_machine_calls_as_its_role(cloud: Cloud, bucket: str) -> None:
    states = {
        "Put": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:putObject",
            "Arguments": {"Bucket": bucket, "Key": "{% $states.input %}", "Body": "1"},
            "End": True,
        }
    }
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Put", "States": states})
    client, name = cloud.client("stepfunctions"), f"m-{uuid.uuid4().hex[:8]}"
    arn = may(cloud, allow("s3:PutObject", on=f"arn:aws:s3:::{bucket}/m/*"))
    machine = client.create_state_machine(name=name, definition=definition, roleArn=arn)["stateMachineArn"]

    def ended(key: str) -> dict[str, Any]:
        execution = client.start_execution(stateMachineArn=machine, input=json.dumps(key))["executionArn"]
        while (told := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            time.sleep(0.02)
        return told

    assert ended("m/x")["status"] == "SUCCEEDED"
    failed = ended("n/x")
    assert failed["status"] == "FAILED"
    assert "is not authorized to perform: s3:PutObject" in failed["cause"]


def test_handing_over_a_role_is_asked_for_that_role_and_service(cloud: Cloud) -> None:
    handed = may(cloud)
    request = {
        "FunctionName": f"f-{uuid.uuid4().hex[:8]}", "Role": handed, "Runtime": "python3.12", "Handler": "a.b",
        "Code": {"ZipFile": b""},
    }  # fmt: skip
    wrong = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    for passing in ([], [allow("iam:PassRole", on=handed, Condition=wrong)], [allow("iam:PassRole", on=f"{handed}x")]):
        client = cloud.callers.client(may(cloud, allow("lambda:CreateFunction"), *passing), "lambda")
        told = refusal(client.create_function, **request)
        assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDeniedException", 403)
        assert f"iam:PassRole on resource: {handed}" in told["Error"]["Message"]


def test_a_role_that_does_not_exist_is_handed_to_nobody(cloud: Cloud) -> None:
    missing = "arn:aws:iam::123456789012:role/tandem/acme/acme--model--us-east-1x"
    passing = may(cloud, allow("sagemaker:CreateModel"), allow("iam:PassRole", on=missing))
    client = cloud.callers.client(passing, "sagemaker")
    model = {"ModelName": f"m-{uuid.uuid4().hex[:8]}", "PrimaryContainer": {"Image": "i"}}
    told = refusal(client.create_model, **model, ExecutionRoleArn=missing)["Error"]
    assert (told["Code"], "role exists" in told["Message"]) == ("ValidationException", True)


def test_a_key_may_be_named_and_allowed_by_its_alias(cloud: Cloud, bucket: str) -> None:
    kms, alias = cloud.client("kms"), f"alias/team/{uuid.uuid4().hex[:8]}"
    for name in (alias, f"{alias}-2"):
        kms.create_alias(AliasName=name, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": REGION.format(service="kms", name=alias)}
    by_alias = {"ForAnyValue:StringLike": {"kms:ResourceAliases": alias}}
    key = REGION.format(service="kms", name="key/*")
    able = cloud.callers.client(may(cloud, allow("s3:*"), allow("kms:*", on=key, Condition=by_alias)), "s3")
    able.put_object(Bucket=bucket, Key="encrypted", Body=b"", **named)
    able.get_object(Bucket=bucket, Key="encrypted")
    for other in (f"{alias}-2", f"{alias}-none"):
        named["SSEKMSKeyId"] = REGION.format(service="kms", name=other)
        told = refusal(able.put_object, Bucket=bucket, Key="other", Body=b"", **named)
        assert "kms:GenerateDataKey" in told["Error"]["Message"]


def test_whoever_takes_a_role_has_its_permissions(cloud: Cloud, bucket: str) -> None:
    arn = may(cloud, allow("s3:GetObject", on=f"arn:aws:s3:::{bucket}/*"))
    taken = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    s3 = cloud.make_client("s3", taken["AccessKeyId"], taken["SecretAccessKey"], taken["SessionToken"])
    address = {"Bucket": bucket, "Key": "acme/rows ä.csv"}
    assert s3.get_object(**address)
    assert requests.get(s3.generate_presigned_url("get_object", Params=address), timeout=10).status_code == 200
    put = s3.generate_presigned_url("put_object", Params=address)
    assert requests.put(put, data=b"b", timeout=10).status_code == 403
    assert cloud.client("s3").get_object(**address)["Body"].read() == b"a"


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "action", "resource"),
    [
        ("sqs", "send_message", {"QueueUrl": "http://x/1/q", "MessageBody": "a"}, "sqs:SendMessage", "sqs:q"),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": "a"}, "sns:Publish",
         "sns:t"),
        ("events", "put_events", {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]},
         "events:PutEvents", "events:event-bus/default"),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["a--b"]}, "cloudwatch:DeleteAlarms", "cloudwatch:alarm:a--b"),
        ("sagemaker", "describe_endpoint", {"EndpointName": "a--b"}, "sagemaker:DescribeEndpoint",
         "sagemaker:endpoint/a--b"),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "a--b", "Body": b"{}"}, "sagemaker:InvokeEndpoint",
         "sagemaker:endpoint/a--b"),
        ("logs", "filter_log_events", {"logGroupName": "/a"}, "logs:FilterLogEvents", "logs:log-group:/a:log-stream:"),
        ("ecr", "describe_images", {"repositoryName": "rr"}, "ecr:DescribeImages", "ecr:repository/rr"),
        ("codebuild", "batch_get_builds", {"ids": ["p:1"]}, "codebuild:BatchGetBuilds", "codebuild:project/p"),
        ("lambda", "get_alias", {"FunctionName": "f", "Name": "live"}, "lambda:GetAlias", "lambda:function:f"),
        ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"}, "lambda:InvokeFunction",
         "lambda:function:f:live"),
        ("dynamodb", "query", {"TableName": "t", "IndexName": "iii", "KeyConditionExpression": "pk = :a"},
         "dynamodb:Query", "dynamodb:table/t/index/iii"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_services_refusal_names_the_action_and_the_resource(
    cloud: Cloud, nobody: str, service: str, operation: str, arguments: dict[str, Any], action: str, resource: str
) -> None:
    client = cloud.callers.client(nobody, service)
    told = refusal(getattr(client, operation), **arguments)
    kind, _, name = resource.partition(":")
    assert told["Error"]["Message"].startswith("User: arn:aws:sts::123456789012:assumed-role/role-")
    assert f"perform: {action} on resource: {REGION.format(service=kind, name=name)} " in told["Error"]["Message"]
    assert told["Error"]["Code"] in ("AccessDeniedException", "AccessDenied", "AuthorizationError")


def test_an_operation_whose_permissions_are_not_known_says_so(cloud: Cloud, nobody: str) -> None:
    told = refusal(cloud.callers.client(nobody, "kinesis").list_streams)
    assert "not emulated" in told["Error"]["Message"]
    assert "kinesis:ListStreams needs" in told["Error"]["Message"]
