"""Asynchronous endpoints: a request waits in a queue, and its answer, or what went wrong, lies in S3 in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local.functions import eventually
from tests.local.hosting import Hosting, settled

KEY = "arn:aws:kms:us-east-1:123456789012:key/5f0a2b1c-0000-0000-0000-000000000000"


class Queue:
    """An asynchronous endpoint of model ``one`` that answers one request at once, and what it tells its topics."""

    def __init__(self, cloud: Cloud, hosting: Hosting) -> None:
        self.cloud, self.hosting, self.bucket = cloud, hosting, sm.bucket(cloud)
        self.told = {topic: self._topic(topic) for topic in ("SuccessTopic", "ErrorTopic")}
        self.heard: dict[str, list[dict[str, Any]]] = {topic: [] for topic in self.told}
        self.name = str(hosting.endpoint(self.config("one"))["EndpointName"])

    def config(self, model: str, **variant: Any) -> str:
        """Make an endpoint configuration of a model; return its name."""
        topics = {name: topic for name, (topic, _) in self.told.items()}
        return self.hosting.config_of(
            ProductionVariants=[self.hosting.variant(model, VariantName="AllTraffic", **variant)],
            AsyncInferenceConfig={
                "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
                "OutputConfig": {
                    "KmsKeyId": KEY,
                    "S3OutputPath": f"s3://{self.bucket}/answers",
                    "S3FailurePath": f"s3://{self.bucket}/failures/",
                    "NotificationConfig": topics,
                },
            },
        )

    def ask(self, body: bytes, **more: Any) -> Any:
        """Put a request into the queue; return the answer to that."""
        key = sm.unique("request")
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.ask_about(f"s3://{self.bucket}/{key}", **more)

    def ask_about(self, location: str, **more: Any) -> Any:
        client = self.cloud.client("sagemaker-runtime")
        return client.invoke_endpoint_async(EndpointName=self.name, InputLocation=location, **more)

    def read(self, location: str) -> Any:
        """Return an object as soon as it is there."""
        key = location.removeprefix(f"s3://{self.bucket}/")
        eventually(lambda: key in sm.keys(self.cloud, self.bucket))
        return self.cloud.client("s3").get_object(Bucket=self.bucket, Key=key)

    def answer(self, asked: Any) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.read(asked["OutputLocation"])["Body"].read())
        return told

    def failure(self, asked: Any) -> str:
        body: bytes = self.read(asked["FailureLocation"])["Body"].read()
        return body.decode()

    def messages(self, topic: str, *asked: Any) -> list[dict[str, Any]]:
        """Return what a topic told of some requests, in its order, as soon as it has told of all."""
        ids = {each["InferenceId"] for each in asked}

        def told() -> list[dict[str, Any]]:
            self._listen(topic)
            found = [each for each in self.heard[topic] if each["inferenceId"] in ids]
            return found if len(found) == len(ids) else []

        found: list[dict[str, Any]] = eventually(told)
        return found

    def _listen(self, topic: str) -> None:
        sqs, (_, queue) = self.cloud.client("sqs"), self.told[topic]
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            self.heard[topic].append(json.loads(json.loads(message["Body"])["Message"]))

    def metric(self, name: str, statistic: str = "Sum", **dimensions: str) -> float | None:
        wanted = {"EndpointName": self.name, **dimensions}
        points = self.cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in wanted.items()],
            StartTime=time.time() - 600,
            EndTime=time.time() + 600,
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return points[0][statistic] if points else None

    def scale(self, count: int) -> None:
        self.hosting.client.update_endpoint_weights_and_capacities(
            EndpointName=self.name,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": count}],
        )
        described = settled(self.cloud, self.name)
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == count

    def _topic(self, name: str) -> tuple[str, str]:
        topic = self.cloud.client("sns").create_topic(Name=sm.unique(name))["TopicArn"]
        queue = self.cloud.client("sqs").create_queue(QueueName=sm.unique(name))["QueueUrl"]
        arn = self.cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        self.cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        return topic, queue


@pytest.fixture(scope="module")
def queue(cloud: Cloud, hosting: Hosting) -> Iterator[Queue]:
    yield Queue(cloud, hosting)
    hosting.delete_endpoints()


class TestAnswers:
    def test_an_answer_lies_in_s3_encrypted_and_a_topic_tells_of_it(self, queue: Queue) -> None:
        asked = queue.ask(b"1,2", ContentType="text/csv", Accept="text/csv", CustomAttributes="k=v", InferenceId="7")
        assert (asked["ResponseMetadata"]["HTTPStatusCode"], asked["InferenceId"]) == (202, "7")
        answer = queue.answer(asked)
        assert {name: answer[name] for name in ("model", "bytes", "type", "accept")} == {
            "model": "one", "bytes": 3, "type": "text/csv", "accept": "text/csv",
        }  # fmt: skip
        kept = queue.read(asked["OutputLocation"])
        assert (kept["SSEKMSKeyId"], kept["ContentType"]) == (KEY, "application/json")
        (told,) = queue.messages("SuccessTopic", asked)
        assert (told["inferenceId"], told["invocationStatus"]) == ("7", "Completed")
        assert told["responseParameters"]["outputLocation"] == asked["OutputLocation"]
        assert told["requestParameters"]["endpointName"] == queue.name

    def test_a_small_payload_may_come_with_the_request(self, cloud: Cloud, queue: Queue) -> None:
        client = cloud.client("sagemaker-runtime")
        asked = client.invoke_endpoint_async(EndpointName=queue.name, Body=b"12345", ContentType="text/csv")
        answer = queue.answer(asked)
        assert (answer["bytes"], answer["type"]) == (5, "text/csv")
        assert queue.messages("SuccessTopic", asked)

    def test_requests_are_answered_in_turn_and_counted(self, cloud: Cloud, queue: Queue) -> None:
        asked = [queue.ask(b"sleep 0.4") for _ in range(3)]
        for each in asked:
            queue.answer(each)
        order = [each["inferenceId"] for each in queue.messages("SuccessTopic", *asked)]
        assert order == [each["InferenceId"] for each in asked]
        variant = {"VariantName": "AllTraffic"}
        assert eventually(lambda: (queue.metric("ModelLatency", "SampleCount", **variant) or 0) >= 3)
        assert eventually(lambda: (queue.metric("ApproximateBacklogSize", "Maximum") or 0) >= 2)
        assert (queue.metric("TimeInBacklog", "Maximum", **variant) or 0) > 0.5e6
        assert queue.metric("Invocations", **variant) is None, "an asynchronous endpoint has no such metric"
        assert queue.metric("HasBacklogWithoutCapacity", "Maximum") == 0


class TestFailures:
    def test_what_the_model_refused_is_kept_and_told(self, queue: Queue) -> None:
        asked = queue.ask(b"status 422")
        assert queue.failure(asked) == "because one"
        (told,) = queue.messages("ErrorTopic", asked)
        assert told["invocationStatus"] == "Failed"
        assert "client error (422)" in told["failureReason"]
        logs = {"logGroupName": f"/aws/sagemaker/Endpoints/{queue.name}", "logStreamName": "AllTraffic/data-log"}
        lines = [each["message"] for each in queue.cloud.client("logs").get_log_events(**logs)["events"]]
        assert any(asked["InferenceId"] in line and "because one" in line for line in lines)
        assert eventually(lambda: queue.metric("Invocation4XXErrors", VariantName="AllTraffic") == 1)

    @pytest.mark.parametrize(
        ("body", "timeout", "said", "metric"),
        [
            (b"status 500", 60, "because one", "Invocation5XXErrors"),
            (b"sleep 3", 1, "did not answer within 1 s", "Invocation5XXErrors"),
            (None, 60, "cannot be read", "RequestDownloadFailures"),
        ],
        ids=["server-error", "too-slow", "no-payload"],
    )
    def test_every_failure_leaves_an_object_and_a_metric(
        self, queue: Queue, body: bytes | None, timeout: int, said: str, metric: str
    ) -> None:
        before = queue.metric(metric, VariantName="AllTraffic") or 0
        missing = f"s3://{queue.bucket}/nothing-there"
        asked = queue.ask_about(missing) if body is None else queue.ask(body, InvocationTimeoutSeconds=timeout)
        assert said in queue.failure(asked)
        assert queue.messages("ErrorTopic", asked)
        assert eventually(lambda: queue.metric(metric, VariantName="AllTraffic") == before + 1)


class TestQueue:
    def test_without_an_instance_requests_wait_for_one_or_expire(self, queue: Queue) -> None:
        queue.scale(0)
        short = queue.ask(b"x", RequestTTLSeconds=60)
        waiting = [queue.ask(b"x") for _ in range(3)]
        assert eventually(lambda: queue.metric("HasBacklogWithoutCapacity", "Maximum") == 1)
        assert "expired" in queue.failure(short)
        assert queue.messages("ErrorTopic", short)
        assert not [
            key for each in waiting for key in sm.keys(queue.cloud, queue.bucket) if key in each["OutputLocation"]
        ]
        queue.scale(1)
        assert {queue.answer(each)["model"] for each in waiting} == {"one"}

    def test_an_update_loses_none_of_those_that_wait(self, queue: Queue) -> None:
        queue.scale(0)
        asked = [queue.ask(b"sleep 0.1") for _ in range(12)]
        queue.hosting.client.update_endpoint(EndpointName=queue.name, EndpointConfigName=queue.config("two"))
        assert settled(queue.cloud, queue.name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
        last = queue.ask(b"x")
        assert len([queue.answer(each) for each in asked]) == 12
        assert queue.answer(last)["model"] == "two"


class TestRefusals:
    def test_each_kind_of_endpoint_is_asked_in_its_own_way(self, cloud: Cloud, hosting: Hosting, queue: Queue) -> None:
        client = cloud.client("sagemaker-runtime")
        described = hosting.client.describe_endpoint(EndpointName=queue.name)
        assert described["AsyncInferenceConfig"]["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 1}
        with pytest.raises(ClientError, match="takes InvokeEndpointAsync only"):
            client.invoke_endpoint(EndpointName=queue.name, Body=b"x")
        plain = str(hosting.endpoint(hosting.config("one"))["EndpointName"])
        with pytest.raises(ClientError, match="takes InvokeEndpoint only") as refused:
            client.invoke_endpoint_async(EndpointName=plain, InputLocation=f"s3://{queue.bucket}/x")
        assert refused.value.response["Error"]["Code"] == "ValidationError"

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            ({"InputLocation": "ftp://b/k"}, "pattern"),
            ({"InputLocation": "s3://b/k", "RequestTTLSeconds": 30_000}, "less than or equal to 21600"),
            ({"InputLocation": "s3://b/k", "Body": b"x"}, "Exactly one of"),
            ({}, "Exactly one of"),
            ({"InputLocation": "s3://b/k", "Filename": "mine"}, "not emulated"),
        ],
        ids=["location", "ttl", "both", "neither", "filename"],
    )
    def test_a_request_that_cannot_be_meant_is_refused(self, queue: Queue, request_: Any, said: str) -> None:
        with pytest.raises(ClientError, match=said):
            queue.cloud.client("sagemaker-runtime").invoke_endpoint_async(EndpointName=queue.name, **request_)

    def test_an_asynchronous_endpoint_has_one_variant_on_instances(self, hosting: Hosting, queue: Queue) -> None:
        output = {"OutputConfig": {"S3OutputPath": f"s3://{queue.bucket}/answers"}}
        one, two = hosting.variant("one"), hosting.variant("two")
        serverless = hosting.variant(
            "one", isolated=False, ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        )
        for variants in ([one, two], [serverless]):
            with pytest.raises(ClientError, match="exactly one production variant"):
                hosting.config_of(ProductionVariants=variants, AsyncInferenceConfig=output)
