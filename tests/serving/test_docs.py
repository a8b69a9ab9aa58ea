"""docs/how-to/predict.md is true: its requests are sent, and answered as it says."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract import names
from contract.dates import PARTS
from contract.manifest import Feature
from serving.errors import Refused
from serving.model import Model, load
from serving.settings import Settings
from tests.serving import archives
from tests.serving.client import Client

OPERATION = (Path(__file__).parents[2] / "docs" / "how-to" / "run-the-server.md").read_text()
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "predict.md").read_text()
BLOCK = re.compile(r"^```http\n(.*?)\n\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PENGUINS = archives.table_schema(
    Feature(name="island", kind="category", vocabulary=("Biscoe", "Dream", "Torgersen")),
    *(Feature(name=f"{name}", kind="number") for name in ("bill_length_mm", "bill_depth_mm")),
    *(Feature(name=f"{name}", kind="number") for name in ("flipper_length_mm", "body_mass_g")),
    Feature(name="sex", kind="category", vocabulary=("female", "male")),
    labels=("Adelie", "Chinstrap", "Gentoo"),
)
FARES = archives.values_schema(
    Feature(name="km", kind="number"),
    *(Feature(name="pickup", kind="date", part=part, statistics={"mean": 1.0}) for part in PARTS),
    Feature(name="driver", kind="category", vocabulary=("7", "12"), buckets=3),
    label="fare",
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request of the page and the answer beneath it."""

    headers: dict[str, str]
    body: str
    status: int
    content_type: str
    answer: str


def head(text: str) -> tuple[str, dict[str, str]]:
    first, *rest = text.splitlines()
    return first, dict(line.lower().split(": ") for line in rest)


def examples() -> list[Example]:
    blocks = [(*head(top), body) for top, body in BLOCK.findall(PAGE)]
    made = []
    for (request, headers, body), (status, answered, answer) in zip(blocks[::2], blocks[1::2], strict=True):
        assert request == "POST /invocations"
        made.append(
            Example(
                headers=headers,
                body=body,
                status=int(status.removeprefix("HTTP/1.1 ")),
                content_type=answered["content-type"],
                answer=answer,
            )
        )
    return made


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    """By a word that only requests to that model have; the first one is of the others."""
    schemas = {"": PENGUINS, '"image"': archives.image_schema(height=2, width=2), "pickup": FARES}
    return {
        word: Client(load(archives.write(tmp_path_factory.mktemp("docs"), schema))) for word, schema in schemas.items()
    }


def shape(value: Any) -> Any:
    """What two answers of different models have in common."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.body[:40])
def test_an_example_is_answered_as_the_page_says(example: Example, clients: dict[str, Client]) -> None:
    client = next(client for word, client in reversed(clients.items()) if word in example.body)
    response: httpx.Response = client.request("POST", "/invocations", content=example.body, headers=example.headers)
    assert response.status_code == example.status, response.text
    assert response.headers["content-type"] == example.content_type
    if example.content_type == "text/csv":
        [header, *rows], [said, *said_rows] = (
            list(csv.reader(io.StringIO(t))) for t in (response.text, example.answer)
        )
        assert (header, len(rows)) == (said, len(said_rows))
    elif example.status == 200:
        assert shape(response.json()) == shape(json.loads(example.answer))
    else:
        assert response.json() == json.loads(example.answer)


def test_the_page_has_examples_of_every_kind() -> None:
    assert len(examples()) >= 5
    assert {example.status for example in examples()} == {200, 400}
    assert {example.headers["content-type"] for example in examples()} == {"application/json", "text/csv"}


def test_the_same_image_is_sent_as_file_and_as_pixels(clients: dict[str, Client]) -> None:
    [example] = [example for example in examples() if '"image"' in example.body]
    response = clients['"image"'].request("POST", "/invocations", content=example.body, headers=example.headers)
    first, second = response.json()["predictions"]
    assert first == second


def test_every_refusal_and_content_type_is_documented(clients: dict[str, Client]) -> None:
    refusals: list[type[Refused]] = [Refused, *Refused.__subclasses__()]
    for refusal in refusals:
        assert f"| {refusal.status} | `{refusal.type}` |" in PAGE
    for client in clients.values():
        for content_type in client.request("GET", "/").json()["content_types"]:
            assert f"`{content_type}`" in PAGE


def test_the_python_of_the_page_is_python() -> None:
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        assert ast.parse(code)


def test_every_setting_of_the_server_is_documented_with_its_default() -> None:
    settings = {name: value for name, value in vars(names).items() if name.startswith("SERVING_")}
    of_others = {names.SERVING_IMAGE_REPOSITORY, names.SERVING_IMAGE_TAG}
    for variable in set(settings.values()) - of_others:
        assert f"| `{variable}` |" in OPERATION
    defaults = Settings.from_environment({})
    for variable, default in (
        (names.SERVING_QUEUE, defaults.queue),
        (names.SERVING_JOIN, defaults.join),
        (names.SERVING_DRAIN, defaults.drain_seconds),
        (names.SERVING_LOG_LINES, int(defaults.log_lines)),
    ):
        [line] = [line for line in OPERATION.splitlines() if line.startswith(f"| `{variable}` |")]
        assert line.endswith(f"| {default} |")


def test_every_route_and_metric_of_the_server_is_documented(credit_model: Model, tmp_path: Path) -> None:
    client = Client(
        credit_model, routes=frozenset({"v2", "metrics"}), capture_percent=1, capture_folder=tmp_path, model_name="name"
    )
    known = client.request("GET", "/nothing").json()["error"]["message"].split("try ")[1].split(". ")[0]
    for route in known.split(", "):
        if "/versions/" not in route:
            assert f"{route.replace('/name', '/{name}')}`" in OPERATION, route
    for name in set(re.findall(r"^# TYPE (\w+)", client.request("GET", "/metrics").text, re.MULTILINE)):
        assert f"`{name}`" in OPERATION
    client.app.close()
