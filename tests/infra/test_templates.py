"""What the four stacks make, by properties."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.aws import CONFIG
from contract import ledger, names
from local.event_pattern import matches
from tests.infra.conftest import Assembly, listed


def text(value: Any) -> str:
    return json.dumps(value)


def test_the_stacks_name_the_outputs_that_the_command_line_looks_up(assembly: Assembly) -> None:
    outputs = {stack: set(assembly.template(stack).get("Outputs", {})) for stack in names.STACKS}
    assert {names.OUTPUT_DATA_BUCKET, names.OUTPUT_ARTIFACTS_BUCKET, names.OUTPUT_LEDGER_TABLE} <= outputs[
        names.STACK_STORAGE
    ]
    assert names.OUTPUT_DEPLOYMENT_ARN in outputs[names.STACK_SERVING]
    assert names.OUTPUT_PIPELINE_ARN in outputs[names.STACK_PIPELINE]
    assert names.OUTPUT_TOPIC_ARN in outputs[names.STACK_OPERATIONS]


def test_the_command_line_waits_as_long_for_a_function_as_that_may_take(assembly: Assembly) -> None:
    called = ("functions.plan.handler", "functions.resume.handler", "functions.intake.handler")
    functions = [each for each in assembly.resources("AWS::Lambda::Function") if each.get("Handler") in called]
    assert len(functions) == len(called)
    assert max(each["Timeout"] for each in functions) < vars(CONFIG)["read_timeout"]


def test_buckets_are_private_encrypted_and_versioned(assembly: Assembly) -> None:
    buckets = list(assembly.resources("AWS::S3::Bucket"))
    assert len(buckets) == 4
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    ours = [bucket for bucket in buckets if "LoggingConfiguration" in bucket]
    assert len(ours) == 3
    for bucket in ours:
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert rule["BucketKeyEnabled"] is ("ObjectLockConfiguration" not in bucket)  # the trail's has none
        assert bucket["LoggingConfiguration"]["LogFilePrefix"] in ("data/", "artifacts/", "traillogs/")


def test_the_buckets_events_reach_eventbridge_without_a_custom_resource(assembly: Assembly) -> None:
    buckets = [bucket for bucket in assembly.resources("AWS::S3::Bucket") if "LoggingConfiguration" in bucket]
    assert len(buckets) == 3
    for bucket in buckets:
        configuration = bucket["NotificationConfiguration"]["EventBridgeConfiguration"]
        assert configuration == {"EventBridgeEnabled": True}
    kinds = {r["Type"] for stack in names.STACKS for r in assembly.template(stack)["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))}


def test_every_bucket_topic_and_queue_refuses_plain_http(assembly: Assembly) -> None:
    kinds = {"AWS::S3::BucketPolicy": 4, "AWS::SNS::TopicPolicy": 1, "AWS::SQS::QueuePolicy": 1}
    for kind, count in kinds.items():
        policies = list(assembly.resources(kind))
        assert len(policies) == count
        for policy in policies:
            statements = policy["PolicyDocument"]["Statement"]
            assert any(
                statement["Effect"] == "Deny"
                and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
                for statement in statements
            ), kind


def test_the_ledger_has_its_index_recovery_and_expiring_leases(assembly: Assembly) -> None:
    table = assembly.one("AWS::DynamoDB::Table")
    keys = {
        index["IndexName"]: {part["KeyType"]: part["AttributeName"] for part in index["KeySchema"]}
        for index in table["GlobalSecondaryIndexes"]
    }
    assert keys == {ledger.BY_PROJECT: {"HASH": "project", "RANGE": "started"}, ledger.BY_SLEEP: {"HASH": "sleep"}}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["SSESpecification"]["SSEType"] == "KMS"
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_the_key_rotates_and_lets_eventbridge_alarms_and_logs_use_it(assembly: Assembly) -> None:
    key = assembly.one("AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    users = [
        json.dumps(service)
        for statement in key["KeyPolicy"]["Statement"]
        for service in listed(statement["Principal"].get("Service", []))
        if "kms:GenerateDataKey*" in statement["Action"]
    ]
    logs = {"Fn::Join": ["", ["logs.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]}
    services = [f'"{service}.amazonaws.com"' for service in ("events", "budgets", "cloudwatch")]
    assert users == [*services, json.dumps(logs), '"cloudtrail.amazonaws.com"']


def test_every_log_group_and_the_images_are_encrypted_with_the_key(assembly: Assembly) -> None:
    groups = list(assembly.resources("AWS::Logs::LogGroup"))
    assert groups
    for group in groups:
        assert "Key" in json.dumps(group["KmsKeyId"])
        assert group["RetentionInDays"]
    encryption = assembly.one("AWS::ECR::Repository")["EncryptionConfiguration"]
    assert encryption["EncryptionType"] == "KMS"
    assert "Key" in json.dumps(encryption["KmsKey"])


def test_an_object_in_any_inbox_reaches_intake_and_else_the_dead_letters(assembly: Assembly) -> None:
    rule = rule_of(assembly, "aws.s3", to="Intake")
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"wildcard": "*/inbox/*"}]}
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    (target,) = rule["Targets"]
    assert "Intake" in text(target["Arn"])
    assert "DeadLetters" in text(target["DeadLetterConfig"])
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}


def test_a_file_in_any_batch_folder_reaches_the_batch_machine_and_else_the_dead_letters(assembly: Assembly) -> None:
    rule = rule_of(assembly, "aws.s3", to="Batch")
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"wildcard": "*/batch/*"}]}
    assert "DeadLetters" in text(rule["Targets"][0]["DeadLetterConfig"])


def test_every_bad_end_of_a_run_reaches_settle(assembly: Assembly) -> None:
    rule = rule_of(assembly, "aws.states", to="Settle")
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert "Machine" in text(rule["EventPattern"]["detail"]["stateMachineArn"])
    assert "Settle" in text(rule["Targets"][0]["Arn"])


@pytest.mark.parametrize(
    ("machine", "error"),
    [("Deployment", "ChampionNotBack"), ("Sleep", "SageMaker.SageMakerException"), ("Batch", "States.Timeout")],
)
def test_what_is_left_half_way_starts_its_machine_again_and_what_fails_at_that_does_not(
    assembly: Assembly, machine: str, error: str
) -> None:
    rule = rule_of(assembly, "aws.states", to=f"{machine}Machine")
    first = {"status": "FAILED", "error": "States.DataLimitExceeded", "input": '{"tenant": "acme"}'}
    again = {**first, "input": '{"source": "aws.states", "detail": {}}'}
    caught = {**first, "error": "EndpointFailed"}
    stopped = [{**caught, "status": status} for status in ("ABORTED", "TIMED_OUT")] + [{**first, "error": error}]
    ways = {"$or": rule["EventPattern"]["detail"]["$or"]}
    assert [matches(ways, detail) for detail in (*stopped, first, again, caught)] == [True] * 4 + [False] * 2
    (target,) = rule["Targets"]
    assert target["Arn"] == rule["EventPattern"]["detail"]["stateMachineArn"][0]
    assert target["DeadLetterConfig"]


def test_a_quarter_of_an_hour_is_all_that_a_model_sleeps_too_long(assembly: Assembly) -> None:
    (rule,) = scheduled(assembly, "Sleepers")
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    failed = rule_of(assembly, "aws.states", to="was not put to sleep")
    assert failed["EventPattern"]["detail"]["status"] == ["FAILED"]


def test_gpus_that_do_nothing_are_found_a_quarter_of_an_hour_later(assembly: Assembly) -> None:
    (rule,) = scheduled(assembly, "IdleGpus")
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert "DeadLetters" in text(rule["Targets"][0]["DeadLetterConfig"])


def test_an_upload_whose_event_was_lost_waits_a_day_at_most(assembly: Assembly) -> None:
    (rule,) = scheduled(assembly, "Sweep")
    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert "DeadLetters" in text(rule["Targets"][0]["DeadLetterConfig"])


def scheduled(assembly: Assembly, target: str) -> list[Any]:
    """Return the scheduled rules with this target."""
    rules = [rule for rule in assembly.resources("AWS::Events::Rule") if "ScheduleExpression" in rule]
    return [rule for rule in rules if target in text(rule["Targets"])]


def test_a_run_that_was_redriven_reaches_resume(assembly: Assembly) -> None:
    rule = rule_of(assembly, "aws.states", to="Resume")
    assert rule["EventPattern"]["detail"]["status"] == ["RUNNING"]
    assert rule["EventPattern"]["detail"]["redriveCount"] == [{"numeric": [">", 0]}]
    assert "DeadLetters" in text(rule["Targets"][0]["DeadLetterConfig"])


def test_people_are_told_of_failed_and_stopped_runs_in_words(assembly: Assembly) -> None:
    rule = rule_of(assembly, names.EVENT_SOURCE, to="Tandem run")
    assert rule["EventPattern"]["detail"] == {"outcome": ["FAILED", "STOPPED"]}
    assert rule["EventPattern"]["detail-type"] == [names.EVENT_RUN_SETTLED]
    (target,) = rule["Targets"]
    assert "Notifications" in text(target["Arn"])
    template = target["InputTransformer"]["InputTemplate"]
    assert "Tandem run <detail-run> of <detail-tenant>/<detail-project> ended as <detail-outcome>" in template


def test_the_topic_and_the_queue_are_encrypted_with_our_key(assembly: Assembly) -> None:
    assert "Key" in text(assembly.one("AWS::SNS::Topic")["KmsMasterKeyId"])
    assert "Key" in text(assembly.one("AWS::SQS::Queue")["KmsMasterKeyId"])


@pytest.mark.parametrize(("what", "told"), [("errors", 1), ("latency", 1), ("backlog", 0)])
def test_people_are_told_of_a_model_s_alarms_and_not_of_an_empty_queue_s(
    assembly: Assembly, what: str, told: int
) -> None:
    name = names.alarm(names.endpoint("acme", "digits", "async"), "AllTraffic", what)
    detail = {"alarmName": name, "state": {"value": "ALARM", "reason": "it is slow"}}
    event = {"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "detail": detail}
    rules = (rule.get("EventPattern") for rule in assembly.resources("AWS::Events::Rule"))
    assert sum(matches(pattern, event) for pattern in rules if pattern and "alarmName" in text(pattern)) == told


def test_an_undelivered_event_raises_an_alarm(assembly: Assembly) -> None:
    alarms = assembly.resources("AWS::CloudWatch::Alarm")
    (alarm,) = [each for each in alarms if each["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    assert alarm["Threshold"] == 1
    assert alarm["AlarmActions"]


def test_functions_are_small_arm_and_traced_with_logs_that_expire(assembly: Assembly) -> None:
    functions = list(assembly.resources("AWS::Lambda::Function"))
    assert sorted(function["Handler"] for function in functions) == [
        "functions.accept.handler", "functions.approval.handler", "functions.ask.handler", "functions.best.handler",
        "functions.decide.handler", "functions.deployment.handler", "functions.describe.handler",
        "functions.edge.handler", "functions.golden.handler", "functions.golden_files.check",
        "functions.golden_files.write",
        "functions.halt.handler", "functions.idle_gpus.handler", "functions.intake.handler", "functions.judge.handler",
        "functions.lambda_traffic.handler", "functions.lambda_versions.handler", "functions.plan.handler",
        "functions.predict.handler", "functions.prediction.handler", "functions.register.handler",
        "functions.resume.handler", "functions.retention.handler", "functions.settle.handler",
        "functions.sleep.handler", "functions.sleepers.handler", "functions.sweep.handler", "functions.tidy.handler",
        "training.prepare.handler",
    ]  # fmt: skip
    for function in functions:
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.12"
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["LoggingConfig"]["LogGroup"]
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == names.APP
        assert "ReservedConcurrentExecutions" not in function
    for group in assembly.resources("AWS::Logs::LogGroup"):
        assert group["RetentionInDays"] == (3653 if names.AUDIT_LOGS in text(group) else 30)


@pytest.mark.parametrize(
    ("handler", "variables"),
    [
        ("intake", {names.LEDGER_TABLE, names.PIPELINE_ARN}),
        ("accept", {names.DATA_BUCKET, names.ARTIFACTS_BUCKET, names.LEDGER_TABLE}),
        ("best", {names.LEDGER_TABLE}),
        ("plan", {names.ARTIFACTS_BUCKET, names.LEDGER_TABLE}),
        (
            "register",
            {names.ARTIFACTS_BUCKET, names.LEDGER_TABLE, names.SERVING_IMAGE_REPOSITORY, names.SERVING_IMAGE_TAG},
        ),
        ("resume", {names.LEDGER_TABLE}),
        ("settle", {names.ARTIFACTS_BUCKET, names.LEDGER_TABLE}),
        ("deployment", {names.LEDGER_TABLE}),
    ],
)
def test_each_function_is_given_the_settings_it_reads(assembly: Assembly, handler: str, variables: set[str]) -> None:
    (function,) = [
        function
        for function in assembly.resources("AWS::Lambda::Function")
        if function["Handler"] == f"functions.{handler}.handler"
    ]
    assert variables <= set(function["Environment"]["Variables"])


def test_the_machines_are_standard_logged_and_traced(assembly: Assembly) -> None:
    machines = list(assembly.resources("AWS::StepFunctions::StateMachine"))
    expected = {names.MACHINE_PIPELINE, names.MACHINE_DEPLOYMENT, names.MACHINE_BATCH, names.MACHINE_SLEEP}
    assert {machine["StateMachineName"] for machine in machines} == expected
    for machine in machines:
        assert machine["TracingConfiguration"] == {"Enabled": True}
        logging = machine["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_the_serving_image_is_built_in_the_account_under_the_hash_of_its_source(assembly: Assembly) -> None:
    project = assembly.one("AWS::CodeBuild::Project")
    variables = {v["Name"]: v["Value"] for v in project["Environment"]["EnvironmentVariables"]}
    tag = variables[names.SERVING_IMAGE_TAG]
    assert tag in text(project["Source"]["Location"])
    assert project["Environment"]["PrivilegedMode"] is True
    assert "x86_64" in project["Environment"]["Image"]
    assert "--provenance=false --sbom=false" in project["Source"]["BuildSpec"]
    register = next(
        function
        for function in assembly.resources("AWS::Lambda::Function")
        if function["Handler"] == "functions.register.handler"
    )
    assert register["Environment"]["Variables"][names.SERVING_IMAGE_TAG] == tag
    assert assembly.one("AWS::ECR::Repository")["ImageTagMutability"] == "IMMUTABLE"


def test_the_training_image_is_of_the_stacks_own_region(assembly: Assembly) -> None:
    pipeline = assembly.template(names.STACK_PIPELINE)
    accounts = next(mapping for name, mapping in pipeline["Mappings"].items() if "Dlc" in name)
    assert accounts["us-east-1"]["value"] == "763104351884"
    machine = assembly.one("AWS::StepFunctions::StateMachine", names.STACK_PIPELINE)
    definition = text(machine["DefinitionString"])
    assert "Fn::FindInMap" in definition
    assert "/pytorch:2.13-cu133-amzn2023-sagemaker" in definition


def test_every_region_that_has_the_training_images_has_the_one_of_spark(assembly: Assembly) -> None:
    maps = assembly.template(names.STACK_PIPELINE)["Mappings"]
    training, spark = (next(found for name, found in maps.items() if part in name) for part in ("Dlc", "Spark"))
    assert set(training) <= set(spark)  # FindInMap refuses the whole stack elsewhere


def test_everything_is_tagged(assembly: Assembly) -> None:
    for kind in (
        "AWS::S3::Bucket",
        "AWS::KMS::Key",
        "AWS::DynamoDB::Table",
        "AWS::Lambda::Function",
        "AWS::SNS::Topic",
    ):
        for resource in assembly.resources(kind):
            assert {"Key": names.TAG_APP, "Value": names.APP} in resource["Tags"], kind


def test_templates_name_no_account_or_region_but_in_maps(assembly: Assembly) -> None:
    for stack in names.STACKS:
        resources = text(assembly.template(stack)["Resources"])
        assert "us-east-1" not in resources
        assert "123456789012" not in resources


def rule_of(assembly: Assembly, source: str, *, to: str = "") -> dict[str, Any]:
    rules = [rule for rule in assembly.resources("AWS::Events::Rule") if source in text(rule.get("EventPattern", ""))]
    (found,) = [rule for rule in rules if to in text(rule["Targets"])]
    return found
