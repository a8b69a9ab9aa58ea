"""What `tandem destroy` finds of an installation that is at work."""

from __future__ import annotations

import pytest

from cli import removal
from cli.aws import Account
from contract import names
from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local import tuning as tn


def test_a_search_that_goes_on_is_stopped(cloud: Cloud, account: Account) -> None:
    sagemaker = cloud.client("sagemaker")
    account.__dict__["outputs"] = {}  # no machines: what runs on when they are gone
    definition = tn.definition(tn.push_image(cloud), sm.bucket(cloud), tn.SLOW)
    request = tn.tuning(definition, jobs=1, parallel=1)
    sagemaker.create_hyper_parameter_tuning_job(**request, Tags=names.tags("acme", "digits", "r"))
    search = request["HyperParameterTuningJobName"]
    tn.wait_for_output(cloud, search, jobs=1)
    found = [item for item in removal.find_running(account) if item.name == search]
    assert [item.kind for item in found] == ["search"]
    removal.remove(account, found, say=lambda line: None)
    assert tn.tuned(cloud, search)["HyperParameterTuningJobStatus"] == "Stopped"
    removal.remove(account, found, say=lambda line: None)  # it has ended meanwhile


def test_alarms_of_our_endpoints_go_and_a_persons_own_stay(cloud: Cloud, account: Account) -> None:
    cloudwatch = cloud.client("cloudwatch")
    ours = [
        names.alarm(names.endpoint("acme", "removal", "realtime"), "AllTraffic", "errors"),
        names.alarm(names.function("acme", "removal"), "v12", "errors"),
    ]
    untagged, theirs = names.alarm("theirs--removal--realtime", "AllTraffic", "errors"), "removal of snow"
    tags = {**dict.fromkeys([*ours, theirs], names.tags("acme", "removal", "r")), untagged: []}
    for name, given in tags.items():
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Average", Period=60,
            EvaluationPeriods=1, Threshold=0.01, ComparisonOperator="GreaterThanThreshold", Tags=given,
        )  # fmt: skip
    found = [item for item in removal.find_alarms(account) if "removal" in item.name]
    assert sorted((item.kind, item.name) for item in found) == sorted(("alarm", name) for name in ours)
    removal.remove(account, found, say=lambda line: None)
    left = cloudwatch.describe_alarms(AlarmNames=list(tags))["MetricAlarms"]
    assert sorted(alarm["AlarmName"] for alarm in left) == sorted([theirs, untagged])
    cloudwatch.delete_alarms(AlarmNames=[theirs, untagged])


def test_a_locked_object_goes_with_its_bucket_because_whoever_destroys_says_so(cloud: Cloud, account: Account) -> None:
    s3, bucket = cloud.client("s3"), "locked-removal"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 90}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    version = s3.put_object(Bucket=bucket, Key="trail.json.gz", Body=b"who")["VersionId"]
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="trail.json.gz", VersionId=version)
    removal.remove(account, [removal.Item(kind="AWS::S3::Bucket", name=bucket)], say=lambda line: None)
    assert bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}


def test_a_bucket_that_locks_nothing_goes_without_a_word_of_locks(cloud: Cloud, account: Account) -> None:
    s3, bucket = cloud.client("s3"), "unlocked-removal"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="rows.csv", Body=b"1")
    removal.remove(account, [removal.Item(kind="AWS::S3::Bucket", name=bucket)], say=lambda line: None)
    assert bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}


def test_protection_is_lifted_before_a_stack_or_a_table_goes(cloud: Cloud, account: Account) -> None:
    cloudformation, dynamodb = cloud.client("cloudformation"), cloud.client("dynamodb")
    template = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    cloudformation.create_stack(StackName="Protected", TemplateBody=template, EnableTerminationProtection=True)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="Protected", WaiterConfig={"Delay": 1})
    dynamodb.create_table(
        TableName="protected", BillingMode="PAY_PER_REQUEST", DeletionProtectionEnabled=True,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip
    items = [removal.Item(kind="stack", name="Protected"), removal.Item(kind="AWS::DynamoDB::Table", name="protected")]
    removal.remove(account, items, say=lambda line: None)
    assert "protected" not in dynamodb.list_tables()["TableNames"]
    with pytest.raises(cloudformation.exceptions.ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName="Protected")
