"""The public API from a person's first key to the last: the model in service answers over HTTPS, to whom it may."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cli import api_keys, removal
from cli.api_keys import Limits
from cli.aws import Account
from cli.errors import BadArgument, NotFound
from contract import names
from tests.e2e.app import App, signed_in
from tests.e2e.data import table, table_toml

GENEROUS = Limits(rate=1000, burst=1000, quota=0, period="DAY")


@pytest.fixture(scope="module")
def account(app: App) -> Iterator[Account]:
    with signed_in(app.cloud) as signed:
        yield signed


class Consumer:
    """An application with a key."""

    def __init__(self, account: Account, tenant: str, limits: Limits = GENEROUS) -> None:
        self.name = f"c{uuid.uuid4().hex[:8]}"
        self.url = f"{account.outputs[names.OUTPUT_API_URL]}"
        self.headers = {"x-api-key": api_keys.add(account, tenant, self.name, limits)}

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers, timeout=30)

    def predict(self, project: str, **request: Any) -> requests.Response:
        headers = {**self.headers, **request.pop("headers", {})}
        return requests.post(f"{self.url}{project}/predict", headers=headers, timeout=30, **request)


@pytest.fixture(scope="module")
def shop(account: Account) -> Consumer:
    return Consumer(account, "acme")


def test_the_model_in_service_answers_who_has_its_tenants_key(app: App, account: Account, shop: Consumer) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=1))
    run = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    document = shop.get(f"acme/{project}/openapi.json").json()
    row = document["components"]["schemas"]["Row"]
    assert list(row["properties"]) == ["income", "age", "region"]
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = shop.predict(f"acme/{project}", json=example)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == answer.headers["x-amzn-RequestId"]
    assert answer.json()["model"]["run"] == run["run"]
    direct = app.predict(project, json.dumps(example).encode())
    assert answer.json()["predictions"] == direct["predictions"]
    refused = shop.predict(f"acme/{project}", json={"instances": [{"income": "much"}]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "InvalidInput")
    assert refused.json()["error"]["request_id"] == refused.headers["x-request-id"]
    rival = Consumer(account, "rival").predict(f"acme/{project}", json=example)
    assert (rival.status_code, rival.json()["error"]["type"]) == (403, "Forbidden")


def test_without_a_known_key_nothing_is_told_but_the_page_is_there(shop: Consumer) -> None:
    for path in ("acme/any", "acme/any/openapi.json"):
        answer = requests.get(shop.url + path, timeout=10)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "Forbidden")
    page = requests.get(f"{shop.url}acme/any/docs", timeout=10)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_what_is_not_there_and_what_is_too_large_has_the_errors_shape(shop: Consumer) -> None:
    answers = {
        404: shop.get("nothing/at/all"),
        413: shop.predict("acme/any", data=b"0" * (8 << 20), headers={"content-type": "text/csv"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.json()["error"].keys() == {"type", "message", "path", "request_id"}


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(rate=0.001, burst=2, quota=0, period="DAY"), "TooManyRequests"),
        (Limits(rate=1000, burst=1000, quota=2, period="DAY"), "QuotaExceeded"),
    ],
    ids=["throttle", "quota"],
)
def test_a_key_is_held_to_its_limits(account: Account, limits: Limits, kind: str) -> None:
    consumer = Consumer(account, "acme", limits)
    answers = [consumer.get("acme/nothing-here") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[-1].json()["error"]["type"] == kind
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_removed_key_opens_nothing(account: Account) -> None:
    consumer = Consumer(account, "acme")
    with pytest.raises(BadArgument):
        api_keys.add(account, "acme", consumer.name, GENEROUS)
    assert consumer.name in [key.consumer for key in api_keys.find_all(account, "acme")]
    assert consumer.name not in [key.consumer for key in api_keys.find_all(account, "acm")]
    api_keys.remove(account, "acme", consumer.name)
    assert consumer.get("acme/nothing-here").status_code == 403
    with pytest.raises(NotFound):
        api_keys.remove(account, "acme", consumer.name)


def test_keys_with_the_same_limits_share_a_plan_that_goes_with_the_last(account: Account) -> None:
    limits = Limits(rate=7, burst=7, quota=7, period="WEEK")
    first, second = (Consumer(account, "acme", limits) for _ in range(2))

    def plans() -> int:
        return sum(item.name == limits.name for item in removal.find_keys(account))

    assert plans() == 1
    api_keys.remove(account, "acme", first.name)
    assert plans() == 1
    api_keys.remove(account, "acme", second.name)
    assert plans() == 0
