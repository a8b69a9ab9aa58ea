"""What is not emulated says so, and requests are served side by side."""

from __future__ import annotations

import operator
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.models.utilities import dynamo_to_dict

from local.bootstrap import assets_bucket, bootstrap
from local.cloud import Cloud
from local.server import Server


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "what"),
    [
        ("logs", "list_anomalies", {}, "logs ListAnomalies"),  # JSON
        ("cloudformation", "list_types", {}, "list_types"),  # query
        ("lambda", "get_account_settings", {}, "lambda GET /2016-08-19/account-settings"),  # REST, no such path
        ("personalize", "list_campaigns", {}, "personalize"),  # a service that moto knows in part
        ("braket", "search_jobs", {"filters": []}, "braket"),  # a service that moto does not know
    ],
)
def test_an_operation_that_is_not_emulated_names_itself(
    cloud: Cloud, service: str, operation: str, parameters: dict[str, Any], what: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(cloud.client(service), operation)(**parameters)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "not emulated by the laptop cloud" in str(error.value)
    assert what in str(error.value)


def test_a_sub_resource_that_is_not_emulated_names_itself(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="analysed")
    with pytest.raises(ClientError, match="sub-resource analytics"):
        s3.list_bucket_analytics_configurations(Bucket="analysed")


def test_moto_itself_lists_objects_instead(vanilla: Any) -> None:
    s3 = vanilla.client("s3")
    s3.create_bucket(Bucket="analysed")
    s3.list_bucket_analytics_configurations(Bucket="analysed")


def test_moto_itself_answers_such_an_operation_with_a_page(vanilla: Any) -> None:
    with pytest.raises(ClientError) as error:
        vanilla.client("lambda").get_account_settings()
    assert "not emulated" not in str(error.value)


def test_rows_are_read_and_written_one_request_at_a_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, key = cloud.client("dynamodb"), {"pk": {"S": "row"}}
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    rows.create_table(TableName="t", KeySchema=schema, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")
    rows.put_item(TableName="t", Item=key)
    reading: list[int] = [0, 0]  # now, and at most

    def slowly(value: Any) -> Any:
        reading[0] += 1
        reading[1] = max(reading)
        time.sleep(0.05)
        reading[0] -= 1
        return dynamo_to_dict(value)

    monkeypatch.setattr("moto.dynamodb.responses.dynamo_to_dict", slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: rows.get_item(TableName="t", Key=key), range(4)))
    assert reading == [0, 1]


def test_requests_are_served_side_by_side(cloud: Cloud) -> None:
    sqs, sts = cloud.client("sqs"), cloud.client("sts")
    sts.get_caller_identity()  # clients take their time to be made
    url = sqs.create_queue(QueueName="slow")["QueueUrl"]
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=4) for _ in range(4)]
        time.sleep(0.2)
        before = time.monotonic()
        sts.get_caller_identity()
        assert not any(future.done() for future in waiting)
    assert time.monotonic() - before < 12  # side by side: not four times four seconds


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Server(taken.getsockname()[1], lambda environ: None, lambda environ: None).start()


def test_background_work_that_fails_is_logged(cloud: Cloud, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    cloud.spawn(operator.truediv, 1, 0, name="doomed")
    deadline = time.monotonic() + 5
    while "background work failed: doomed" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "ZeroDivisionError" in caplog.text


def test_the_bootstrap_makes_what_templates_refer_to(cloud: Cloud) -> None:
    bootstrap(cloud)
    bootstrap(cloud)  # as `cdk bootstrap` may be run again
    assert cloud.client("s3").get_bucket_versioning(Bucket=assets_bucket(cloud))["Status"] == "Enabled"
    value = cloud.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]["Value"]
    assert int(value) >= 30
