"""Endpoints are servers: created, updated without a failed request, rolled back, deleted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local.functions import eventually
from tests.local.hosting import Hosting, invoke, packed, refused, settled

Make = Callable[..., str]
SERVERLESS = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}


@pytest.fixture(scope="module")
def config(hosting: Hosting) -> Make:
    """Return a function that makes an endpoint configuration of models by name, and returns its name."""
    return hosting.config


@pytest.fixture(scope="module")
def image(hosting: Hosting) -> str:
    return hosting.image


@pytest.fixture
def endpoint(hosting: Hosting) -> Iterator[Callable[[str], Any]]:
    """Return a function that makes an endpoint and waits for it; they are deleted at the end."""
    yield hosting.endpoint
    hosting.delete_endpoints()


class TestInvocations:
    def test_a_request_reaches_the_container_and_its_answer_comes_back(
        self, cloud: Cloud, config: Make, endpoint: Any
    ) -> None:
        described = endpoint(config("one"))
        assert described["EndpointStatus"] == "InService", described
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
        body = b"\xff\x00" * 1000
        answer = invoke(cloud, described["EndpointName"], body, ContentType="a/b", Accept="c/d", CustomAttributes="k=v")
        assert answer["told"]["model"] == "one"
        assert answer["told"]["bytes"] == 2000
        assert answer["told"]["isolated"] is True
        assert answer["told"]["x"] == "from-the-image"
        assert (answer["told"]["type"], answer["told"]["accept"]) == ("a/b", "c/d")
        assert (answer["ContentType"], answer["CustomAttributes"]) == ("application/json", "k=v")
        assert answer["InvokedProductionVariant"] == "of-one"
        assert sm.log(cloud, f"/aws/sagemaker/Endpoints/{described['EndpointName']}", "of-one") == ["serving one"]

    @pytest.mark.parametrize(("status", "kind"), [(400, "client error"), (500, "server error")])
    def test_an_error_of_the_container_is_a_model_error(
        self, cloud: Cloud, config: Make, endpoint: Any, status: int, kind: str
    ) -> None:
        name = endpoint(config("one"))["EndpointName"]
        runtime = cloud.client("sagemaker-runtime")
        error = refused(runtime.invoke_endpoint, EndpointName=name, Body=f"status {status}".encode())
        assert error["Error"]["Code"] == "ModelError"
        assert f"Received {kind} ({status}) from primary" in error["Error"]["Message"]
        assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (status, "because one")
        assert name in error["LogStreamArn"]

    def test_an_invocation_that_takes_too_long_is_a_model_error(
        self, cloud: Cloud, config: Make, endpoint: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = endpoint(config("one"))["EndpointName"]
        monkeypatch.setattr("local.sagemaker.runtime.INVOCATION_SECONDS", 0.2)
        runtime = cloud.client("sagemaker-runtime")
        error = refused(runtime.invoke_endpoint, EndpointName=name, Body=b"sleep 5")
        assert error["Error"]["Code"] == "ModelError"
        assert "timed out" in error["Error"]["Message"]

    def test_an_unknown_endpoint_is_a_validation_error(self, cloud: Cloud) -> None:
        runtime = cloud.client("sagemaker-runtime")
        error = refused(runtime.invoke_endpoint, EndpointName="never-made", Body=b"x")
        assert error["Error"]["Code"] == "ValidationError"

    def test_a_body_has_a_limit_and_serverless_a_smaller_one(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        machine = endpoint(config("one"))["EndpointName"]
        serverless = endpoint(config("one", isolated=False, ServerlessConfig=SERVERLESS))
        runtime, body = cloud.client("sagemaker-runtime"), b"x" * (5 << 20)
        assert invoke(cloud, machine, body)["told"]["bytes"] == len(body)
        error = refused(runtime.invoke_endpoint, EndpointName=serverless["EndpointName"], Body=body)
        assert "less than or equal to 4194304" in error["Error"]["Message"]

    def test_serverless_has_no_network_isolation(self, config: Make) -> None:
        with pytest.raises(ClientError, match="serverless inference has no network isolation"):
            config("one", isolated=True, ServerlessConfig=SERVERLESS)

    def test_serverless_answers_no_more_requests_at_once_than_it_may(
        self, cloud: Cloud, config: Make, endpoint: Any
    ) -> None:
        described = endpoint(config("one", isolated=False, ServerlessConfig=SERVERLESS))
        name = described["EndpointName"]
        assert described["ProductionVariants"][0]["CurrentServerlessConfig"]["MaxConcurrency"] == 1
        slow = threading.Thread(target=invoke, args=(cloud, name, b"sleep 1"))
        slow.start()
        time.sleep(0.3)
        error = refused(cloud.client("sagemaker-runtime").invoke_endpoint, EndpointName=name, Body=b"x")
        slow.join()
        assert error["Error"]["Code"] == "ThrottlingException"
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert invoke(cloud, name)["told"]["model"] == "one"

    def test_invocations_are_counted_in_cloudwatch(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        name = endpoint(config("one"))["EndpointName"]
        invoke(cloud, name)
        refused(cloud.client("sagemaker-runtime").invoke_endpoint, EndpointName=name, Body=b"status 404")
        assert eventually(lambda: sums(cloud, name) == {"Invocations": 2, "Invocation4XXErrors": 1})

    def test_a_container_that_dies_is_started_again(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        name = endpoint(config("one"))["EndpointName"]
        runtime = cloud.client("sagemaker-runtime")
        assert refused(runtime.invoke_endpoint, EndpointName=name, Body=b"die")["Error"]["Code"] == "ModelError"

        def answers() -> bool:
            try:
                return bool(invoke(cloud, name)["told"]["model"] == "one")
            except ClientError:
                return False

        assert eventually(answers)


class TestVariants:
    def test_traffic_goes_by_weight_or_to_the_variant_that_is_named(
        self, cloud: Cloud, config: Make, endpoint: Any
    ) -> None:
        name = endpoint(config("one", "two"))["EndpointName"]
        told = {invoke(cloud, name)["told"]["model"] for _ in range(40)}
        assert told == {"one", "two"}
        assert invoke(cloud, name, TargetVariant="of-two")["told"]["model"] == "two"
        weights = [{"VariantName": "of-one", "DesiredWeight": 0.0}, {"VariantName": "of-two", "DesiredWeight": 1.0}]
        cloud.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=weights
        )
        assert {invoke(cloud, name)["told"]["model"] for _ in range(10)} == {"two"}

    def test_instances_are_processes(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        name = endpoint(config("one", InitialInstanceCount=2))["EndpointName"]
        slow = threading.Thread(target=invoke, args=(cloud, name, b"sleep 1"))
        slow.start()
        time.sleep(0.2)
        began = time.monotonic()
        invoke(cloud, name, b"sleep 0")
        assert time.monotonic() - began < 0.7
        slow.join()
        streams = cloud.client("logs").describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
        assert len(streams["logStreams"]) == 2


class TestUpdates:
    def test_no_request_fails_while_an_endpoint_is_updated(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        name, second = endpoint(config("one"))["EndpointName"], config("two")
        answers: list[str] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                try:
                    answers.append(invoke(cloud, name, b"sleep 0.3")["told"]["model"])
                except ClientError as error:
                    answers.append(str(error))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for each in asking:
            each.start()
        cloud.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=second)
        described = settled(cloud, name)
        asked = len(answers)
        assert eventually(lambda: len(answers) > asked + 4)
        done.set()
        for each in asking:
            each.join()
        assert described["EndpointConfigName"] == second
        assert set(answers) == {"one", "two"}

    @pytest.mark.parametrize("bad", ["broken", "sick"])
    def test_an_update_that_fails_leaves_the_old_servers_in_service(
        self, cloud: Cloud, config: Make, endpoint: Any, bad: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = config("one")
        name = endpoint(first)["EndpointName"]
        monkeypatch.setattr("local.sagemaker.fleets.SHORTEST_STARTUP", 0.7)
        monkeypatch.setattr("local.sagemaker.fleets.STARTUP_SECONDS", 35.0)
        cloud.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=config(bad))
        assert cloud.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
        described = settled(cloud, name)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", first)
        assert "did not pass the ping health check" in described["FailureReason"]
        assert invoke(cloud, name)["told"]["model"] == "one"

    def test_an_endpoint_in_progress_cannot_be_changed(self, cloud: Cloud, config: Make, endpoint: Any) -> None:
        client, name = cloud.client("sagemaker"), endpoint(config("one"))["EndpointName"]
        client.update_endpoint(EndpointName=name, EndpointConfigName=config("two"))
        again = refused(client.update_endpoint, EndpointName=name, EndpointConfigName=config("two"))
        assert "Cannot update in-progress endpoint" in again["Error"]["Message"]
        settled(cloud, name)


class TestFailures:
    def test_a_server_that_ends_fails_its_endpoint(self, config: Make, endpoint: Any) -> None:
        described = endpoint(config("broken"))
        assert described["EndpointStatus"] == "Failed"
        assert "did not pass the ping health check" in described["FailureReason"]
        assert "exited with code 1" in described["FailureReason"]

    @pytest.mark.parametrize("archive", [b"not an archive", packed(**{"../../outside": "x"})])
    def test_model_data_that_cannot_be_unpacked_fails_the_endpoint(
        self, config: Make, endpoint: Any, archive: bytes
    ) -> None:
        described = endpoint(config("one", archive=archive))
        assert described["EndpointStatus"] == "Failed"
        assert "Failed to extract model data archive" in described["FailureReason"]

    def test_names_and_references_are_checked(self, cloud: Cloud, config: Make, endpoint: Any, image: str) -> None:
        client, name = cloud.client("sagemaker"), endpoint(config("one"))["EndpointName"]
        missing = {"EndpointName": name, "EndpointConfigName": "never-made"}
        for call in (client.update_endpoint, client.create_endpoint):
            assert refused(call, **missing)["Error"]["Code"] == "ValidationException"
        taken = refused(client.create_endpoint, EndpointName=name, EndpointConfigName=config("one"))
        assert "Cannot create already existing endpoint" in taken["Error"]["Message"]
        container = {"Image": image, "ModelDataUrl": "s3://nowhere/model.tar.gz"}
        no_data = refused(client.create_model, ModelName="x", ExecutionRoleArn=sm.ROLE, PrimaryContainer=container)
        assert "Could not find model data at s3://nowhere/model.tar.gz" in no_data["Error"]["Message"]
        container = {"Image": image.replace(":v1", ":v2")}
        no_image = refused(client.create_model, ModelName="x", ExecutionRoleArn=sm.ROLE, PrimaryContainer=container)
        assert "not found" in no_image["Error"]["Message"]

    def test_a_deleted_endpoint_leaves_no_process(self, cloud: Cloud, config: Make) -> None:
        client, name = cloud.client("sagemaker"), sm.unique("endpoint")
        client.create_endpoint(EndpointName=name, EndpointConfigName=config("one"))
        settled(cloud, name)
        alive = processes_of(name)
        assert alive
        client.delete_endpoint(EndpointName=name)
        assert eventually(lambda: not client.list_endpoints(NameContains=name)["Endpoints"])
        assert processes_of(name) == []
        assert "Could not find endpoint" in refused(client.describe_endpoint, EndpointName=name)["Error"]["Message"]


def sums(cloud: Cloud, name: str) -> dict[str, float]:
    return {metric: total(cloud, name, metric) for metric in ("Invocations", "Invocation4XXErrors")}


def total(cloud: Cloud, name: str, metric: str) -> float:
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "of-one"}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(each["Sum"] for each in points))


def processes_of(name: str) -> list[str]:
    """Return the processes that have ``name`` in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                if f"/endpoints/{name}/".encode() in environment.read():
                    found.append(pid)
        except OSError:
            continue
    return found
