"""The public API where an asynchronous endpoint serves: 202 and a place to look, then the answer or what went wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contract import async_calls, keys, ledger, names
from contract.async_calls import Failure
from functions import api, predict, prediction, table
from serving.errors import Refused
from tests.functions.conftest import World

KEY, REQUEST = "key1234567", "request-7"
ANSWER = b'{"predictions":[{"values":{"price":3.5}},{"values":{"price":4.0}}],"model":{}}'
REFUSED = json.dumps({"error": {"type": "InvalidInput", "message": "'x' is text", "path": "instances[0].age"}})


class Queue:
    """SageMaker's runtime: what was put into the queue."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.folder = f"s3://{bucket}/{prefix}"

    def invoke_endpoint_async(self, **request: Any) -> dict[str, str]:
        self.asked.append(request)
        return {
            "InferenceId": request["InferenceId"],
            "OutputLocation": f"{self.folder}{keys.ASYNC_ANSWERS}1.out",
            "FailureLocation": f"{self.folder}{keys.ASYNC_FAILURES}1-error.out",
        }


@pytest.fixture
def queue(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A tenant with a key, and a model in service behind a queue."""
    fake = Queue(world.artifacts, keys.async_prefix(world.tenant, world.project))
    monkeypatch.setattr(predict, "client", lambda service: fake)
    row = {"endpoint": "e", "target": "async", "version": 1, "model_uri": "s3://bucket/model.tar.gz"}
    table.put(ledger.champion_key(world.tenant, world.project), row)
    table.put(ledger.api_key_key(KEY), {"tenant": world.tenant, "consumer": "shop", "created": "2026-11-21"})
    for cache in (api.keys, api.champions):
        cache.clear()
    yield fake
    for cache in (api.keys, api.champions):
        cache.clear()


def event(world: World, **more: Any) -> dict[str, Any]:
    """Return API Gateway's event of a request."""
    parameters = {"tenant": world.tenant, "project": world.project, **more.pop("path", {})}
    context = {"requestId": REQUEST, "identity": {"apiKeyId": KEY}}
    return {"resource": "", "headers": {}, "pathParameters": parameters, "requestContext": context, **more}


def ask(world: World, accept: str = "") -> dict[str, Any]:
    """Ask the model; return the answer."""
    body = base64.b64encode(b'{"instances": []}').decode()
    headers = {"content-type": "application/json", "accept": accept}
    return predict.handler(event(world, headers=headers, body=body, isBase64Encoded=True), None)


def look(world: World, number: str = REQUEST) -> tuple[dict[str, Any], Any]:
    """Fetch a prediction; return the answer, and its body read."""
    answer = prediction.handler(event(world, path={"id": number}), None)
    return answer, json.loads(answer["body"])


def put(world: World, name: str, body: bytes) -> None:
    key = keys.async_prefix(world.tenant, world.project) + name
    world.client("s3").put_object(Bucket=world.artifacts, Key=key, Body=body)


def test_a_request_waits_and_its_answer_says_where_to_look(world: World, queue: Queue) -> None:
    answer = ask(world)
    assert (answer["statusCode"], json.loads(answer["body"])) == (202, {"id": REQUEST, "status": "pending"})
    assert answer["headers"]["Location"] == f"predictions/{REQUEST}"
    (asked,) = queue.asked
    bucket, key = keys.parse_uri(asked["InputLocation"])
    assert key == f"{keys.async_prefix(world.tenant, world.project)}{keys.ASYNC_REQUESTS}{REQUEST}"
    assert world.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b'{"instances": []}'
    assert (asked["ContentType"], asked["Accept"]) == ("application/json", "application/json")
    pending, _ = look(world)
    assert (pending["statusCode"], pending["headers"]["Retry-After"]) == (202, "2")


@pytest.mark.parametrize(
    ("accept", "body", "kind"),
    [("", ANSWER, "application/json"), ("text/csv; q=1, */*", b"price\n3.5\n4.0\n", "text/csv")],
    ids=["json", "csv"],
)
def test_an_answer_is_fetched_as_often_as_one_likes_and_metered_once(
    world: World, queue: Queue, capfd: pytest.CaptureFixture[str], accept: str, body: bytes, kind: str
) -> None:
    ask(world, accept)
    put(world, f"{keys.ASYNC_ANSWERS}1.out", body)
    found = [prediction.handler(event(world, path={"id": REQUEST}), None) for _ in range(2)]
    assert [(each["statusCode"], each["body"].encode(), each["headers"]["Content-Type"]) for each in found] == [
        (200, body, kind)
    ] * 2
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if '"_aws"' in line]
    assert [line[names.METRIC_API_ROWS][0] for line in lines] == [0, 2, 0]


@pytest.mark.parametrize(
    ("told", "status", "error"),
    [
        (REFUSED, 400, {"type": "InvalidInput", "message": "'x' is text", "path": "instances[0].age"}),
        (
            f'Received client error (400) from primary with message "{REFUSED}". See the log group.',
            400,
            {"type": "InvalidInput", "message": "'x' is text", "path": "instances[0].age"},
        ),
        ('{"error": {"type": "Overloaded", "message": "full"}}', 502, {"type": "ModelError"}),
        ("The request expired", 502, {"type": "ModelError"}),
    ],
    ids=["refused", "quoted", "overloaded", "sagemakers"],
)
def test_a_failure_is_an_error_of_the_usual_shape(
    world: World, queue: Queue, told: str, status: int, error: dict[str, str]
) -> None:
    ask(world)
    put(world, f"{keys.ASYNC_FAILURES}1-error.out", told.encode())
    answer, body = look(world)
    assert answer["statusCode"] == status
    assert error.items() <= body["error"].items()
    assert body["error"]["request_id"] == REQUEST


def test_a_request_that_waited_too_long_is_lost(world: World, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(world)
    key = ledger.prediction_key(world.tenant, world.project, REQUEST)
    row = table.get(key)
    assert row is not None
    assert row["expires"] > row["lost"]
    table.put(key, row | {"lost": 1})
    assert look(world)[1]["error"]["type"] == "TimedOut"


def test_a_request_is_lost_with_its_endpoint(world: World, queue: Queue) -> None:
    ask(world)
    table.put(
        ledger.champion_key(world.tenant, world.project), {"endpoint": "f:live", "target": "lambda", "version": 2}
    )
    api.champions.clear()
    assert look(world)[1]["error"]["type"] == "TimedOut"
    put(world, f"{keys.ASYNC_ANSWERS}1.out", ANSWER)
    assert look(world)[0]["statusCode"] == 200, "but it was answered before"


def test_nobody_finds_what_was_never_asked_or_another_tenants(world: World, queue: Queue) -> None:
    ask(world)
    assert [look(world, number)[0]["statusCode"] for number in ("never-asked", "x" * 2000, "a b")] == [404] * 3
    table.put(ledger.api_key_key(KEY), {"tenant": "rival", "consumer": "spy"})
    api.keys.clear()
    assert look(world)[0]["statusCode"] == 403


def test_the_status_of_each_error_of_the_server_is_known() -> None:
    def kinds(base: type[Refused]) -> Iterator[type[Refused]]:
        yield base
        for each in base.__subclasses__():
            yield from kinds(each)

    ours = {each.type: each.status for each in kinds(Refused) if each.__module__ == "serving.errors"}
    assert ours == async_calls.STATUS
    assert not Failure(status=500, body=b"").is_the_requests
