"""Retention as it is deployed: its function deletes, by its own role, what is older than its kind is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from contract import retention
from local.chaos.faults import ALWAYS, ExhaustedFunction
from local.chaos.lab import LAB
from tests.e2e.app import App


def test_the_deployed_function_deletes_what_is_too_old_and_an_old_version_stays(app: App) -> None:
    project = app.project()
    folder = f"acme/{project}/"
    places = {retention.DATA: app.data, retention.ARTIFACTS: app.artifacts}
    put = [  # in folders, where nothing starts anything
        (bucket, f"{folder}{place.replace('*', 'r-1')}deep/x")
        for bucket in places
        for place in retention.places(bucket)
    ]
    for bucket, key in put:
        app.s3.put_object(Bucket=places[bucket], Key=key, Body=b"x")
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    answer = app.cloud.client("lambda").invoke(
        FunctionName=app.function("functions.retention.handler"),
        Payload=json.dumps({"time": later, "prefix": folder}).encode(),
    )
    told = json.loads(answer["Payload"].read())
    doomed = {(bucket, key) for bucket, key in put if retention.parse("")[retention.kind_of(bucket, key)]}
    assert (sum(told["deleted"].values()), told["finished"]) == (len(doomed), True), told
    for bucket, name in places.items():
        found = app.s3.list_object_versions(Bucket=name, Prefix=folder)
        marked = {(bucket, each["Key"]) for each in found.get("DeleteMarkers", ())}
        assert marked == {place for place in doomed if place[0] == bucket}
        assert {(bucket, each["Key"]) for each in found["Versions"]} == {place for place in put if place[0] == bucket}


@pytest.mark.parametrize("scheduled", ["retention", "sweep", pytest.param("idle_gpus", marks=pytest.mark.more)])
def test_what_fails_each_time_is_told(app: App, scheduled: str) -> None:
    functions, sqs, handler = app.cloud.client("lambda"), app.cloud.client("sqs"), f"functions.{scheduled}.handler"
    function, event = app.function(handler), {"id": app.project()}
    target = functions.get_function_configuration(FunctionName=function)["DeadLetterConfig"]["TargetArn"]
    queue = sqs.get_queue_url(QueueName=target.rpartition(":")[2])["QueueUrl"]

    def told() -> str:
        asked = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 2}  # others' are seen once a look
        while messages := sqs.receive_message(**asked).get("Messages"):
            for each in messages:
                if event["id"] in each["Body"]:
                    return str(each["ReceiptHandle"])
        return ""

    with LAB.inject(ExhaustedFunction(function=handler, payload=f"*{event['id']}*", times=ALWAYS)):
        functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
        receipt = app.eventually(told, seconds=240)
    assert receipt
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)
