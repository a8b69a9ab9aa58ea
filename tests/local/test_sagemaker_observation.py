"""What is seen of an endpoint's requests: shadow variants get copies, data capture keeps a sample."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.sagemaker.fleets import Fleet
from local.sagemaker.shadows import share
from tests.local import sagemaker as sm
from tests.local.functions import eventually
from tests.local.hosting import Hosting, invoke

BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]
TEXT = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}


@pytest.fixture(autouse=True)
def tidy(hosting: Hosting) -> Iterator[None]:
    yield
    hosting.delete_endpoints()


def shadowed(hosting: Hosting, model: str, weight: float = 1.0) -> str:
    """An endpoint configuration whose requests are copied to ``model``."""
    return hosting.config_of(
        ProductionVariants=[hosting.variant("one", VariantName="AllTraffic")],
        ShadowProductionVariants=[hosting.variant(model, VariantName="Shadow", InitialVariantWeight=weight)],
    )


def capturing(hosting: Hosting, uri: str, percent: int = 100, **more: Any) -> str:
    """An endpoint configuration that captures."""
    capture = {"InitialSamplingPercentage": percent, "DestinationS3Uri": uri, "CaptureOptions": BOTH, **more}
    return hosting.config_of(
        ProductionVariants=[hosting.variant("one", VariantName="AllTraffic")], DataCaptureConfig=capture
    )


def total(cloud: Cloud, endpoint: str, variant: str, metric: str) -> float:
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(each["Sum"] for each in points))


class TestShadows:
    @pytest.mark.parametrize(("model", "errors"), [("faulty", 5), ("slow", 0)])
    def test_a_copy_of_each_request_neither_fails_nor_delays_it(
        self, cloud: Cloud, hosting: Hosting, model: str, errors: int
    ) -> None:
        described = hosting.endpoint(shadowed(hosting, model))
        name = described["EndpointName"]
        assert [each["VariantName"] for each in described["ProductionVariants"]] == ["AllTraffic"]
        assert [each["VariantName"] for each in described["ShadowProductionVariants"]] == ["Shadow"]
        waits = []
        for _ in range(5):
            began = time.monotonic()
            assert invoke(cloud, name)["told"]["model"] == "one"
            waits.append(time.monotonic() - began)
        assert min(waits) < 0.9
        assert eventually(lambda: total(cloud, name, "Shadow", "Invocations") == 5)
        assert total(cloud, name, "Shadow", "Invocation5XXErrors") == errors
        assert total(cloud, name, "AllTraffic", "Invocations") == 5
        assert total(cloud, name, "AllTraffic", "Invocation5XXErrors") == 0

    @pytest.mark.parametrize(("weight", "copied"), [(0.0, 0.0), (25.0, 0.25), (200.0, 1.0)])
    def test_the_share_that_is_copied_is_the_proportion_of_the_weights(
        self, cloud: Cloud, weight: float, copied: float
    ) -> None:
        fleet = Fleet(
            cloud=cloud,
            config="c",
            folder=cloud.root / "unused",
            variants=[{"VariantName": "AllTraffic", "InitialVariantWeight": 100.0}],
            shadows=[{"VariantName": "Shadow", "InitialVariantWeight": weight}],
            capture={},
            asynchronous={},
            model=lambda _: {},
            on_line=print,
        )
        assert share(fleet, fleet.shadows[0]) == copied

    def test_one_shadow_stands_beside_one_variant_with_instances(self, hosting: Hosting) -> None:
        one, two = hosting.variant("one"), hosting.variant("two")
        serverless = hosting.variant(
            "one", isolated=False, ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        )
        with pytest.raises(ClientError, match="exactly one production"):
            hosting.config_of(ProductionVariants=[one, two], ShadowProductionVariants=[hosting.variant("three")])
        shadow = {**serverless, "VariantName": "Shadow"}
        with pytest.raises(ClientError, match="not supported for serverless"):
            hosting.config_of(ProductionVariants=[serverless], ShadowProductionVariants=[shadow])


class TestCapture:
    def test_requests_and_answers_become_lines_in_s3(self, cloud: Cloud, hosting: Hosting) -> None:
        bucket = sm.bucket(cloud)
        described = hosting.endpoint(capturing(hosting, f"s3://{bucket}/kept", CaptureContentTypeHeader=TEXT))
        name = described["EndpointName"]
        assert described["DataCaptureConfig"]["CaptureStatus"] == "Started"
        invoke(cloud, name, b"1,2", ContentType="text/csv; charset=utf-8", CustomAttributes="k=v", InferenceId="7")
        invoke(cloud, name, b"\xff\x00", ContentType="application/x-npy")
        text, binary = eventually(lambda: kept(cloud, bucket, 2))
        asked, answered = text["captureData"]["endpointInput"], text["captureData"]["endpointOutput"]
        assert asked == {
            "observedContentType": "text/csv; charset=utf-8", "mode": "INPUT", "data": "1,2", "encoding": "CSV"
        }  # fmt: skip
        assert (answered["mode"], answered["encoding"]) == ("OUTPUT", "JSON")
        assert json.loads(answered["data"])["model"] == "one"
        assert text["eventVersion"] == "0"
        assert text["eventMetadata"]["customAttributes"] == ["k=v"]
        assert text["eventMetadata"]["inferenceId"] == "7"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text["eventMetadata"]["inferenceTime"])
        assert binary["captureData"]["endpointInput"]["encoding"] == "BASE64"
        assert base64.b64decode(binary["captureData"]["endpointInput"]["data"]) == b"\xff\x00"
        pattern = rf"kept/{name}/AllTraffic/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-[0-9a-f-]{{36}}\.jsonl"
        assert [key for key in sm.keys(cloud, bucket) if not re.fullmatch(pattern, key)] == []

    @pytest.mark.parametrize("percent", [0, 30])
    def test_no_more_is_kept_than_the_sample_wants(self, cloud: Cloud, hosting: Hosting, percent: int) -> None:
        bucket = sm.bucket(cloud)
        name = hosting.endpoint(capturing(hosting, f"s3://{bucket}/kept", percent))["EndpointName"]
        for _ in range(40):
            invoke(cloud, name)
        time.sleep(cloud.clock.seconds(60) * 1.5)
        assert len(kept(cloud, bucket) or []) <= percent
        assert bool(kept(cloud, bucket)) == bool(percent)

    def test_serverless_endpoints_capture_nothing(self, hosting: Hosting) -> None:
        serverless = hosting.variant(
            "one", isolated=False, ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        )
        capture = {"InitialSamplingPercentage": 1, "DestinationS3Uri": "s3://b/k", "CaptureOptions": BOTH}
        with pytest.raises(ClientError, match="Data capture is not supported for serverless"):
            hosting.config_of(ProductionVariants=[serverless], DataCaptureConfig=capture)
        with pytest.raises(ClientError, match="is not an S3 URI"):
            hosting.config_of(
                ProductionVariants=[hosting.variant("one")],
                DataCaptureConfig={**capture, "DestinationS3Uri": "https://b/k"},
            )


def kept(cloud: Cloud, bucket: str, count: int = 0) -> list[dict[str, Any]] | None:
    """Return the captured events in the order of their times, once there are ``count``."""
    lines = [line for key in sm.keys(cloud, bucket) for line in sm.read(cloud, bucket, key).splitlines()]
    events = sorted(map(json.loads, lines), key=lambda event: str(event["captureData"]["endpointInput"]["encoding"]))
    return events[::-1] if len(events) >= count else None
