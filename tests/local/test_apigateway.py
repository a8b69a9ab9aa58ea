"""REST APIs answer: paths, keys, limits, functions, and what API Gateway says itself."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
import requests

from local.apigateway import address
from local.apigateway.refusals import refusal
from local.apigateway.release import match
from local.apigateway.usage import Bucket
from local.cloud import Cloud
from tests.local.functions import Function

CODE = """
import json

def handler(event, context):
    if (event["queryStringParameters"] or {}).get("answer"):
        return json.loads(event["queryStringParameters"]["answer"])
    return {"statusCode": 201, "headers": {"x-told": "yes"}, "multiValueHeaders": {"x-two": ["a", "b"]},
            "body": json.dumps(event)}
"""


class Api:
    """A REST API whose methods are one function's."""

    def __init__(self, cloud: Cloud, function: Function, **settings: Any) -> None:
        self.cloud, self.function, self.gateway = cloud, function, cloud.client("apigateway")
        made = self.gateway.create_rest_api(name=f"api-{uuid.uuid4().hex[:6]}", **settings)
        self.id, self.media = made["id"], made.get("binaryMediaTypes")
        self.paths = {"/": self.gateway.get_resources(restApiId=self.id)["items"][0]["id"]}

    def method(self, path: str, verb: str, *, key: bool = False, kind: str = "AWS_PROXY") -> None:
        """Put a method that calls the function."""
        above = ""
        for part in path.strip("/").split("/"):
            if f"{above}/{part}" not in self.paths:
                where = {"restApiId": self.id, "parentId": self.paths[above or "/"], "pathPart": part}
                self.paths[f"{above}/{part}"] = self.gateway.create_resource(**where)["id"]
            above += f"/{part}"
        where = {"restApiId": self.id, "resourceId": self.paths[path], "httpMethod": verb}
        self.gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=key)
        uri = f"arn:aws:apigateway:{self.cloud.region}:lambda:path/2015-03-31/functions/{self.function.arn}/invocations"
        self.gateway.put_integration(**where, type=kind, integrationHttpMethod="POST", uri=uri)

    def deploy(self, stage: str = "prod", path: str = "*") -> None:
        """Deploy to a stage, and let API Gateway call the function from ``path``."""
        self.gateway.create_deployment(restApiId=self.id, stageName=stage)
        source = f"arn:aws:execute-api:{self.cloud.region}:{self.cloud.account}:{self.id}/{path}"
        self.function.client.add_permission(
            FunctionName=self.function.name,
            StatementId=uuid.uuid4().hex,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=source,
        )

    def plan(self, **limits: Any) -> str:
        """Make a usage plan with a key; return the key's value."""
        stages = [{"apiId": self.id, "stage": "prod"}]
        plan = self.gateway.create_usage_plan(name=uuid.uuid4().hex, apiStages=stages, **limits)["id"]
        key = self.gateway.create_api_key(name="someone", enabled=True)
        self.gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
        return str(key["value"])

    def ask(self, path: str, verb: str = "GET", stage: str = "prod", **options: Any) -> requests.Response:
        """Send a request."""
        url = f"{self.cloud.url}{address.PREFIX}{self.id}/{stage}{path}"
        return requests.request(verb, url, timeout=20, **options)


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> Function:
    return Function(cloud, CODE)


@pytest.fixture(scope="module")
def api(cloud: Cloud, function: Function) -> Api:
    made = Api(cloud, function, binaryMediaTypes=["image/png"])
    made.method("/{tenant}", "GET")
    made.method("/fixed", "GET")
    made.method("/{tenant}/{rest+}", "ANY")
    made.method("/{tenant}/closed", "GET", key=True)
    made.deploy()
    return made


def test_vanilla_moto_answers_no_request_to_an_api(vanilla: Any) -> None:
    answer = requests.get(f"{vanilla.url}{address.PREFIX}abc/prod/x", timeout=5)
    assert answer.status_code == 404
    assert "execute-api" not in answer.headers.get("x-amzn-errortype", "")


def test_vanilla_moto_forgets_binary_media_types(vanilla: Any) -> None:
    made = vanilla.client("apigateway").create_rest_api(name="x", binaryMediaTypes=["image/png"])
    assert not made.get("binaryMediaTypes")


def test_a_function_gets_the_request_as_an_event_and_its_answer_is_the_answer(api: Api) -> None:
    answer = api.ask("/acme?a=1&a=2", headers={"X-Asked": "yes"})
    event = answer.json()
    assert (answer.status_code, answer.headers["x-told"], answer.headers["x-two"]) == (201, "yes", "a, b")
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{tenant}", "/acme", "GET")
    assert event["pathParameters"] == {"tenant": "acme"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["headers"]["X-Asked"] == "yes"
    context = event["requestContext"]
    assert (context["stage"], context["apiId"], context["path"]) == ("prod", api.id, "/prod/acme")
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert context["identity"]["apiKeyId"] is None
    assert event["body"] is None


def test_a_body_of_a_binary_media_type_is_base64_and_others_are_text(api: Api) -> None:
    assert api.media == ["image/png"]
    image = api.ask("/acme/x", "POST", data=b"\x89\xff", headers={"Content-Type": "image/png"}).json()
    assert (base64.b64decode(image["body"]), image["isBase64Encoded"]) == (b"\x89\xff", True)
    text = api.ask("/acme/x", "POST", data="é".encode(), headers={"Content-Type": "text/csv"}).json()
    assert (text["body"], text["isBase64Encoded"]) == ("é", False)


def test_binary_media_types_are_added_and_removed_by_their_path(cloud: Cloud, function: Function) -> None:
    api = Api(cloud, function, binaryMediaTypes=["image/png"])
    patches = [
        {"op": "add", "path": "/binaryMediaTypes/application~1x-npy"},
        {"op": "remove", "path": "/binaryMediaTypes/image~1png"},
    ]
    changed = api.gateway.update_rest_api(restApiId=api.id, patchOperations=patches)
    assert changed["binaryMediaTypes"] == ["application/x-npy"]


@pytest.mark.parametrize(("accept", "body"), [("image/png", b"\x89\xff"), ("text/html", b"if8=")])
def test_a_base64_answer_becomes_bytes_for_who_accepts_its_type(api: Api, accept: str, body: bytes) -> None:
    told = json.dumps({"statusCode": 200, "body": "if8=", "isBase64Encoded": True})
    assert api.ask("/acme", params={"answer": told}, headers={"Accept": accept}).content == body


@pytest.mark.parametrize("told", ['"text"', '{"statusCode": "x"}', '{"body": 1}', '{"status": 200}'])
def test_what_is_no_answer_is_a_bad_gateway(api: Api, told: str) -> None:
    answer = api.ask("/acme", params={"answer": told})
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("/", "/", {}),
        ("/a/{b}", "/a/x", {"b": "x"}),
        ("/a/{b}", "/a/x/", {"b": "x"}),
        ("/a/{b}", "/a/x/y", None),
        ("/a/{rest+}", "/a/x/y", {"rest": "x/y"}),
        ("/a/{rest+}", "/a", None),
        ("/a.b", "/aXb", None),
    ],
)
def test_paths_match_their_patterns(pattern: str, path: str, found: dict[str, str] | None) -> None:
    assert match(pattern, path) == found


def test_a_literal_path_goes_before_a_parameter_and_that_before_a_greedy_one(api: Api) -> None:
    assert api.ask("/fixed").json()["resource"] == "/fixed"
    assert api.ask("/acme/x/y", "PUT").json()["resource"] == "/{tenant}/{rest+}"
    assert api.ask("/acme/closed").status_code == 403


@pytest.mark.parametrize(("path", "verb"), [("/", "GET"), ("/fixed", "POST")])
def test_a_path_that_is_not_there_asks_for_a_token_as_on_aws(api: Api, path: str, verb: str) -> None:
    answer = api.ask(path, verb)
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_an_api_or_stage_that_is_not_there_is_forbidden(api: Api) -> None:
    assert api.ask("/acme", stage="beta").status_code == 403


def test_a_change_waits_for_the_next_deployment(cloud: Cloud, function: Function) -> None:
    api = Api(cloud, function)
    api.method("/{tenant}", "GET")
    api.deploy()
    api.method("/{tenant}/later", "GET")
    assert api.ask("/acme/later").status_code == 403
    api.deploy()
    assert api.ask("/acme/later").status_code == 201


def test_a_key_must_be_known_enabled_and_in_a_plan_of_the_stage(api: Api) -> None:
    key = api.plan()
    loose = api.gateway.create_api_key(name="loose", enabled=True)["value"]
    event = api.ask("/acme/closed", headers={"x-api-key": key}).json()
    assert event["requestContext"]["identity"]["apiKey"] == key
    for other in ("", "wrong", loose):
        answer = api.ask("/acme/closed", headers={"x-api-key": other})
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    api.gateway.update_api_key(
        apiKey=event["requestContext"]["identity"]["apiKeyId"],
        patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}],
    )
    assert api.ask("/acme/closed", headers={"x-api-key": key}).status_code == 403


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"throttle": {"rateLimit": 0.001, "burstLimit": 2}}, "Too Many Requests"),
        ({"quota": {"limit": 2, "period": "MONTH"}}, "Limit Exceeded"),
    ],
    ids=["throttle", "quota"],
)
def test_a_plan_limits_each_of_its_keys(api: Api, limits: dict[str, Any], message: str) -> None:
    key = api.plan(**limits)
    answers = [api.ask("/acme/closed", headers={"x-api-key": key}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[-1].json() == {"message": message}
    assert api.ask("/acme/closed", headers={"x-api-key": api.plan()}).status_code == 201


def test_a_bucket_fills_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("local.apigateway.usage.time.monotonic", lambda: now[0])
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] += 1
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_a_stage_limits_its_methods(cloud: Cloud, function: Function) -> None:
    api = Api(cloud, function)
    api.method("/{tenant}", "GET")
    api.method("/{tenant}/slow", "GET")
    api.deploy()
    patches = {"/*/*/throttling/burstLimit": "100", "/~1{tenant}~1slow/GET/throttling/burstLimit": "1"}
    patches["/~1{tenant}~1slow/GET/throttling/rateLimit"] = "0.001"
    api.gateway.update_stage(
        restApiId=api.id,
        stageName="prod",
        patchOperations=[{"op": "replace", "path": path, "value": value} for path, value in patches.items()],
    )
    assert [api.ask("/acme/slow").status_code for _ in range(2)] == [201, 429]
    assert api.ask("/acme").status_code == 201


def test_a_function_that_allows_another_path_only_is_not_called(cloud: Cloud) -> None:
    api = Api(cloud, Function(cloud, CODE))
    api.method("/{tenant}", "GET")
    api.deploy(path="prod/GET/other")
    assert api.ask("/acme").status_code == 500
    assert api.ask("/other").status_code == 201


def test_a_function_that_fails_is_a_bad_gateway(cloud: Cloud) -> None:
    api = Api(cloud, Function(cloud, "def handler(event, context):\n    raise ValueError('secret')"))
    api.method("/{tenant}", "GET")
    api.deploy()
    answer = api.ask("/acme")
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_another_integration_is_refused_by_name(cloud: Cloud, function: Function) -> None:
    api = Api(cloud, function)
    api.method("/{tenant}", "GET", kind="AWS")
    api.deploy()
    answer = api.ask("/acme")
    assert (answer.status_code, "integration AWS" in answer.text) == (501, True)


def test_gateway_responses_fill_their_templates() -> None:
    own = {
        "responseType": "THROTTLED",
        "statusCode": "430",
        "responseParameters": {
            "gatewayresponse.header.Retry-After": "'1'",
            "gatewayresponse.header.x-id": "context.requestId",
        },
        "responseTemplates": {"application/json": '{"id": "$context.requestId", "why": $context.error.messageString}'},
    }
    told = refusal("THROTTLED", {"THROTTLED": own}, {"requestId": "r1"})
    assert (told.status, told.headers["Retry-After"], told.headers["x-id"]) == (430, "1", "r1")
    assert json.loads(told.body) == {"id": "r1", "why": "Too Many Requests"}
    general = refusal("THROTTLED", {"DEFAULT_4XX": {**own, "statusCode": None}}, {"requestId": "r2"})
    assert (general.status, json.loads(general.body)["id"]) == (429, "r2")


def test_addresses_of_apis_lead_to_this_machine() -> None:
    there = "https://abc123.execute-api.us-east-1.amazonaws.com/v1/"
    assert address.on_this_machine(there, "http://localhost:4566") == f"http://localhost:4566{address.PREFIX}abc123/v1/"
    assert address.split(f"{address.PREFIX}abc123/v1/acme/x") == ("abc123", "v1", "/acme/x")
    assert address.on_this_machine("https://example.com/", "http://localhost") == "https://example.com/"
