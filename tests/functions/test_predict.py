"""The public API's predictions: who may ask what, and what becomes of the model's answer."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from contract import ledger, names
from functions import api, predict, table
from tests.functions.conftest import World

KEY = "key1234567"
ROMAN_NIGHT = {"sleep": "20:00-07:00", "sleep_timezone": "Europe/Rome"}
SECRET = "a-value-that-nobody-may-log"
ANSWER = b'{"predictions":[{"values":{"price":3.5}},{"values":{"price":4.0}}],"model":{}}'


class Runtime:
    """SageMaker's runtime: what endpoints answer, by name."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        answer = self.answers[request["EndpointName"]]
        if isinstance(answer, Exception):
            raise answer
        return {"Body": io.BytesIO(answer), "ContentType": request["Accept"].split(",")[0]}


@pytest.fixture
def runtime(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A tenant with a key and a model in service."""
    fake = Runtime()
    monkeypatch.setattr(predict, "client", lambda service: fake)
    put_champion(world, "first")
    table.put(ledger.api_key_key(KEY), {"tenant": world.tenant, "consumer": "shop", "created": "2026-11-21"})
    fake.answers["first"] = ANSWER
    for cache in (api.keys, api.champions):
        cache.clear()
    yield fake
    for cache in (api.keys, api.champions):
        cache.clear()


def put_champion(world: World, endpoint: str, target: str = "serverless") -> None:
    row = {"endpoint": endpoint, "target": target, "version": 1, "model_uri": "s3://bucket/model.tar.gz"}
    table.put(ledger.champion_key(world.tenant, world.project), row)


def failed(code: str, message: str = "no", **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, "InvokeEndpoint")


def refusal(status: int, **error: str) -> ClientError:
    """Return the error by which SageMaker tells what the container answered."""
    said = json.dumps({"error": error}) if error else "<html>"
    return failed("ModelError", OriginalStatusCode=status, OriginalMessage=said)


def event(world: World, **changes: Any) -> dict[str, Any]:
    """Return API Gateway's event of a request."""
    body = changes.pop("body", json.dumps({"instances": [{"name": SECRET}]}).encode())
    parameters = {"tenant": world.tenant, "project": world.project} | changes.pop("path", {})
    key = changes.pop("key", KEY)
    return {
        "resource": "/{tenant}/{project}/predict",
        "headers": {"Content-Type": "application/json", **changes.pop("headers", {})},
        "pathParameters": parameters,
        "requestContext": {"requestId": "request-7", "identity": {"apiKeyId": key}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
        **changes,
    }


@pytest.fixture
def ask(world: World, runtime: Runtime) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Send a request; return the answer, and its body read."""

    def send(**changes: Any) -> tuple[dict[str, Any], Any]:
        answer = predict.handler(event(world, **changes), None)
        assert answer["headers"]["x-request-id"] == "request-7"
        body = json.loads(answer["body"]) if answer["headers"]["Content-Type"] == "application/json" else answer["body"]
        if answer["statusCode"] >= 400:
            assert body["error"].keys() == {"type", "message", "path", "request_id"}
            assert body["error"]["request_id"] == "request-7"
        return answer, body

    return send


Ask = Callable[..., tuple[dict[str, Any], Any]]


def test_the_body_reaches_the_model_byte_for_byte_and_its_answer_comes_back(ask: Ask, runtime: Runtime) -> None:
    answer, _ = ask(body=b"\x93NUMPY\x00\xff", headers={"content-type": "application/x-npy", "Accept": "text/csv"})
    (request,) = runtime.asked
    assert (request["Body"], request["ContentType"], request["Accept"]) == (
        b"\x93NUMPY\x00\xff", "application/x-npy", "text/csv",
    )  # fmt: skip
    assert (answer["statusCode"], answer["body"]) == (200, ANSWER.decode())
    assert answer["headers"]["Content-Type"] == "text/csv"


def test_another_tenants_key_opens_nothing(ask: Ask, runtime: Runtime, world: World) -> None:
    table.put(ledger.api_key_key("theirs"), {"tenant": "rival", "consumer": "spy"})
    answer, body = ask(key="theirs")
    assert (answer["statusCode"], body["error"]["type"]) == (403, "Forbidden")
    assert runtime.asked == []


def test_the_answer_to_anothers_key_is_the_same_whether_the_project_exists(ask: Ask, runtime: Runtime) -> None:
    table.put(ledger.api_key_key("theirs"), {"tenant": "rival", "consumer": "spy"})
    assert ask(key="theirs") == ask(key="theirs", path={"project": "no-such"})


@pytest.mark.parametrize("key", ["", "unknown"])
def test_a_key_that_the_ledger_does_not_know_opens_nothing(ask: Ask, runtime: Runtime, key: str) -> None:
    answer, _ = ask(key=key)
    assert answer["statusCode"] == 403
    assert runtime.asked == []


@pytest.mark.parametrize("path", [{"project": "nothing-yet"}, {"project": "Not_A_Name"}])
def test_a_project_without_a_model_is_not_found(ask: Ask, path: dict[str, str]) -> None:
    answer, body = ask(path=path)
    assert (answer["statusCode"], body["error"]["path"]) == (404, "project")


@pytest.mark.parametrize(("hours", "told"), [({}, "somebody wakes it"), (ROMAN_NIGHT, "(Europe/Rome)")])
def test_a_model_that_sleeps_says_until_when(
    ask: Ask, runtime: Runtime, world: World, hours: dict[str, str], told: str
) -> None:
    row = {"endpoint": "first", "target": "realtime", "version": 1, "asleep": "2026-11-21T20:00:00Z", **hours}
    table.put(ledger.champion_key(world.tenant, world.project), row)
    answer, body = ask()
    assert (answer["statusCode"], body["error"]["type"]) == (503, "ModelAsleep")
    assert told in body["error"]["message"]
    seconds = int(answer["headers"]["Retry-After"])
    assert 0 < seconds <= 86_400 if hours else seconds == api.UNTOLD_SECONDS
    assert runtime.asked == []


@pytest.mark.parametrize(("target", "instead"), [("batch", "tandem batch"), ("edge", "tandem edge run")])
def test_a_champion_without_an_endpoint_says_what_answers_instead(
    ask: Ask, runtime: Runtime, world: World, target: str, instead: str
) -> None:
    put_champion(world, "", target)
    answer, body = ask()
    assert (answer["statusCode"], body["error"]["type"]) == (409, "NoEndpoint")
    assert f"{instead} {world.tenant}/{world.project}" in body["error"]["message"]
    assert runtime.asked == []


def test_a_refusal_of_the_models_server_goes_through(ask: Ask, runtime: Runtime) -> None:
    said = {"type": "InvalidInput", "message": "'x' is text", "path": "instances[0].age"}
    runtime.answers["first"] = refusal(400, **said)
    answer, body = ask()
    assert answer["statusCode"] == 400
    assert body["error"] == {**said, "request_id": "request-7"}


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (refusal(429, type="Busy", message="full", path=""), 429, "1"),
        (refusal(503, type="NotReady", message="loading", path=""), 503, "1"),
        (refusal(500), 502, None),
        (refusal(418), 418, None),
        (failed("ThrottlingException"), 429, "1"),
        (failed("ModelNotReadyException"), 503, "5"),
        (failed("CodeArtifactUserPendingException"), 503, "5"),
        (failed("ValidationError", "Endpoint first of account 1 not found."), 503, "5"),
        (failed("ValidationError", "Member must have length less than or equal to 6291456"), 413, None),
        (failed("AccessDeniedException"), 500, None),
        (ReadTimeoutError(endpoint_url="https://runtime"), 504, None),
    ],
    ids=[
        "busy server", "loading", "broken", "teapot", "throttled", "not ready", "asleep", "not in service", "too large",
        "ours", "slow",
    ],
)  # fmt: skip
def test_what_goes_wrong_has_a_status_and_says_when_to_try_again(
    ask: Ask, runtime: Runtime, error: Exception, status: int, retry_after: str | None
) -> None:
    runtime.answers["first"] = error
    answer, _ = ask()
    assert answer["statusCode"] == status
    assert answer["headers"].get("Retry-After") == retry_after


def test_a_champion_that_was_replaced_just_now_is_asked_at_its_new_endpoint(
    ask: Ask, runtime: Runtime, world: World
) -> None:
    ask()
    put_champion(world, "second", "realtime")
    runtime.answers |= {"first": failed("ValidationError", "Endpoint first not found."), "second": ANSWER}
    assert ask()[0]["statusCode"] == 200
    assert [request["EndpointName"] for request in runtime.asked] == ["first", "first", "second"]


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded"])
def test_a_body_of_which_nothing_is_said_is_refused(ask: Ask, runtime: Runtime, kind: str) -> None:
    assert ask(headers={"Content-Type": kind})[0]["statusCode"] == 415
    assert runtime.asked == []


def test_a_header_that_sagemaker_would_not_take_is_refused(ask: Ask, runtime: Runtime) -> None:
    assert ask(headers={"Accept": "text/csv, " * 200})[0]["statusCode"] == 400


def test_too_large_bodies_and_answers_are_refused(ask: Ask, runtime: Runtime) -> None:
    assert ask(body=b" " * (api.BODY_LIMIT + 1))[0]["statusCode"] == 413
    assert runtime.asked == []
    runtime.answers["first"] = b'"' * (api.ANSWER_LIMIT // 2)
    assert ask()[1]["error"]["type"] == "AnswerTooLarge"


@pytest.mark.parametrize("error", [None, refusal(400, type="x", message=SECRET, path=SECRET), failed("Odd", SECRET)])
def test_nothing_that_was_sent_is_logged(
    ask: Ask,
    runtime: Runtime,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
) -> None:
    runtime.answers["first"] = error or ANSWER
    ask()
    logged = "".join([*capfd.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert "'request_id': 'request-7'" in logged
    assert SECRET not in logged


def test_use_is_metered_by_tenant_and_consumer(
    ask: Ask, runtime: Runtime, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    ask(body=b"12345")
    ask(path={"project": "no-such"})
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if '"_aws"' in line]
    counted = [
        [line[name][0] for name in (
            names.METRIC_API_REQUESTS, names.METRIC_API_ROWS, names.METRIC_API_BYTES, names.METRIC_API_ERRORS
        )]
        for line in lines
    ]  # fmt: skip
    assert counted[0] == [1, 2, 5, 0]
    assert counted[1][3] == 1
    assert {(line["tenant"], line["consumer"]) for line in lines} == {(world.tenant, "shop")}


@pytest.mark.parametrize(
    ("body", "kind", "rows"),
    [(b"label\nyes\nno\n", "text/csv", 2), (b'{"predictions": [1, 2, 3]}', "application/json", 3), (b"?", "x/y", 0)],
    ids=["csv", "json", "other"],
)
def test_rows_are_counted(body: bytes, kind: str, rows: int) -> None:
    assert predict.count(body, kind) == rows
