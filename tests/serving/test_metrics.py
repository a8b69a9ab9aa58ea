"""What the server tells of itself: Prometheus, CloudWatch's embedded metrics, log lines, captured requests."""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from contract.errors import InvalidConfig
from serving import capture, logs
from serving.calls import Call
from serving.capture import Capture
from serving.http import Response
from serving.metrics import Metrics
from serving.model import Model
from serving.settings import Settings
from tests.serving.client import Client
from tests.serving.test_process import Server, start  # noqa: F401

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}
SAMPLE = re.compile(r'[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [0-9.e+-]+')


def test_prometheus_counts_every_prediction_by_route_and_status(credit_model: Model) -> None:
    client = Client(credit_model, routes=frozenset({"metrics", "v2"}))
    client.instances(ROW)
    client.instances(ROW, ROW)
    client.instances({})
    client.invoke(b"", "text/html")
    client.request("POST", "/v2/models/test/infer", content=b"{}")
    client.request("GET", "/ping")
    response = client.request("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'tandem_requests_total{route="infer",status="400"} 1',
        'tandem_requests_total{route="invocations",status="200"} 2',
        'tandem_requests_total{route="invocations",status="400"} 1',
        'tandem_requests_total{route="invocations",status="415"} 1',
        "tandem_request_seconds_count 5",
        'tandem_request_seconds_bucket{le="+Inf"} 5',
        "tandem_joined_requests_sum 5.0",
        "tandem_waiting_requests 0",
    ):
        assert line in lines
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))


def test_buckets_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.003, 100):
        metrics.observe("invocations", 200, seconds)
    counts = [line.split()[1] for line in metrics.prometheus().splitlines() if "request_seconds_bucket" in line]
    assert counts[:3] == ["2", "2", "3"]
    assert counts[-2:] == ["3", "4"]


def test_a_line_of_embedded_metrics_sums_up_what_happened_since_the_last() -> None:
    metrics = Metrics()
    assert metrics.embedded({"tenant": "acme"}) is None
    for number in range(1000):
        metrics.observe("invocations", 500 if number == 7 else 429 if number % 10 == 0 else 200, number / 1000)
    line = metrics.embedded({"tenant": "acme", "project": "digits"})
    assert line
    assert (line["Requests"], line["ClientErrors"], line["ServerErrors"]) == (1000, 100, 1)
    latencies = line["Latency"]
    assert len(latencies) == 100
    assert (latencies[0], latencies[-1]) == (0, 999)
    assert latencies[50] == pytest.approx(500, abs=10)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Tandem"
    assert directive["Dimensions"] == [["tenant", "project"]]
    assert {metric["Name"] for metric in directive["Metrics"]} <= line.keys()
    assert metrics.embedded({"tenant": "acme"}) is None


def test_the_process_writes_metrics_and_few_log_lines(start: Callable[..., Server]) -> None:  # noqa: F811
    server = start(TANDEM_SERVING_METRIC_SECONDS="3600", TANDEM_SERVING_LOG_LINES="1")
    server.wait_until_ready()
    with httpx.Client(verify=False) as client:
        for _ in range(200):
            client.post(f"{server.url}/invocations", json={"instances": [ROW]})
    server.process.send_signal(signal.SIGTERM)
    _, log = server.end()
    [line] = [line for line in log if line["event"] == "metrics"]
    assert line["Requests"] == 200
    assert line["project"] == "test"
    assert 95 < sum(line["event"] == "invocation" for line in log) < 120


def test_dropped_lines_are_counted_and_warnings_never_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "_rate", logs.Rate(1e-9))
    with caplog.at_level(logging.INFO, logger="serving"):
        for _ in range(logs.LINES + 5):
            logs.event("invocation")
        logs.event("trouble", level=logging.WARNING)
    assert len(caplog.records) == logs.LINES + 1
    assert vars(caplog.records[-1])["fields"] == {"lines_dropped": 5}
    assert logs.Rate(math.inf).lets_through()


def lines(folder: Path) -> list[dict[str, dict[str, dict[str, str]]]]:
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text().splitlines()]


def test_captured_requests_look_as_sagemakers_do(credit_model: Model, tmp_path: Path) -> None:
    client = Client(credit_model, capture_percent=100, capture_folder=tmp_path)
    answer = client.instances(ROW)
    client.instances({"age": "refused"})
    client.invoke("age,job,monthly income\n1,nurse,2\n", "text/csv", accept="text/csv")
    client.app.close()
    first, second = lines(tmp_path)
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "application/json",
        "mode": "INPUT",
        "data": json.dumps({"instances": [ROW]}, separators=(",", ":")),
        "encoding": "JSON",
    }
    assert first["captureData"]["endpointOutput"]["data"] == answer.text
    assert second["captureData"]["endpointOutput"]["encoding"] == "CSV"
    assert first["eventVersion"] == "0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(first["eventMetadata"]["inferenceTime"]))
    [path] = tmp_path.rglob("*.jsonl")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl", str(path.relative_to(tmp_path)))


CALL = Call(body=b"\x89PNG", content_type="image/png", accept="application/json")


def test_bytes_that_are_no_text_are_captured_in_base64() -> None:
    line = capture.to_line(0, CALL, Response(body=b"{}"))
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert base64.b64decode(line["captureData"]["endpointInput"]["data"]) == CALL.body


def test_a_share_is_captured(tmp_path: Path) -> None:
    keeper = Capture(tmp_path, 20)
    for _ in range(1000):
        keeper.offer(CALL, Response(body=b"{}"))
    keeper.close()
    assert keeper.kept + keeper.dropped == pytest.approx(200, abs=80)
    assert len(lines(tmp_path)) == keeper.kept


def test_what_cannot_be_written_is_dropped_and_counted_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    keeper = Capture(tmp_path / "file", 100)
    for _ in range(5):
        keeper.offer(CALL, Response(body=b"{}"))
    keeper.close()
    assert (keeper.kept, keeper.dropped) == (0, 5)
    assert "capture failed" in caplog.text


def test_a_queue_that_is_full_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "WAITING_BYTES", 10)
    keeper = Capture(tmp_path, 100)
    keeper.offer(Call(body=bytes(11), content_type="image/png", accept="*/*"), Response(body=b"{}"))
    keeper.close()
    assert (keeper.kept, keeper.dropped) == (0, 1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TANDEM_SERVING_ROUTES": "v2,metric"}, "Did you mean 'metrics'?"),
        ({"TANDEM_SERVING_CAPTURE_PERCENT": "101"}, "from 0 to 100"),
        ({"TANDEM_SERVING_CAPTURE_PERCENT": "5"}, "TANDEM_SERVING_CAPTURE_FOLDER: '' is not allowed"),
        ({"TANDEM_SERVING_MODEL_NAME": "a/b"}, "letters, digits"),
        ({"TANDEM_SERVING_QUEUE": "many"}, "an integer from 0"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(message)):
        Settings.from_environment(variables)
