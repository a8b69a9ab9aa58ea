"""KServe's V2 protocol: tensors in, a tensor out; what does not fit is refused, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from contract.manifest import Feature, Schema, Tensor
from serving.model import Model, load
from tests.serving import archives
from tests.serving.client import Client

V2 = frozenset({"v2"})
NUMERIC = {"name": "numeric", "datatype": "FP32", "shape": [2, 2], "data": [31, 1800.5, None, 2]}
CATEGORY = {"name": "category", "datatype": "INT64", "shape": [2, 1], "data": [2, 0]}
INFER = "/v2/models/test/infer"


@pytest.fixture
def client(credit_model: Model) -> Client:
    return Client(credit_model, routes=V2)


def infer(client: Client, *inputs: Any, path: str = INFER, **more: Any) -> httpx.Response:
    return client.request("POST", path, content=json.dumps({"inputs": list(inputs), **more}))


def test_the_answer_is_that_of_the_same_rows_as_instances(client: Client) -> None:
    response = infer(client, NUMERIC, CATEGORY, id="42")
    document = response.json()
    [output] = document.pop("outputs")
    assert document == {"model_name": "test", "model_version": "test-0123456789", "id": "42"}
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [2, 2])
    rows = [{"age": 31, "monthly income": 1800.5, "job": "nurse"}, {"age": None, "monthly income": 2, "job": None}]
    expected = [list(each["probabilities"].values()) for each in client.instances(*rows).json()["predictions"]]
    assert np.array(output["data"], np.float32).reshape(2, 2).tolist() == expected


def test_data_may_be_nested_as_the_shape_and_versions_named(client: Client) -> None:
    nested = [{**NUMERIC, "data": [[31, 1800.5], [None, 2]]}, {**CATEGORY, "data": [[2], [0]]}]
    path = "/v2/models/test/versions/test-0123456789/infer"
    assert infer(client, *nested, path=path).json() == infer(client, NUMERIC, CATEGORY).json()


def test_metadata_and_health(client: Client) -> None:
    assert client.request("GET", "/v2").json()["extensions"] == []
    assert client.request("GET", "/v2/health/live").json() == {"live": True}
    for path in ("/v2/health/ready", "/v2/models/test/ready", "/v2/models/test/versions/test-0123456789/ready"):
        assert client.request("GET", path).status_code == 200
    metadata = client.request("GET", "/v2/models/test").json()
    assert {each["name"]: (each["datatype"], each["shape"]) for each in metadata["inputs"]} == {
        "numeric": ("FP32", [-1, 2]),
        "category": ("INT64", [-1, 1]),
    }
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}]


def test_a_server_that_still_loads_is_alive_and_not_ready() -> None:
    client = Client(None, routes=V2)
    assert client.request("GET", "/v2/health/live").status_code == 200
    response = client.request("GET", "/v2/health/ready")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {"error": "the model is still loading"}


def test_the_routes_are_closed_unless_asked_for(credit: Client) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/models/test", "/metrics"):
        assert credit.request("GET", path).status_code == 404


def test_the_name_in_the_paths_can_be_set(credit_model: Model) -> None:
    client = Client(credit_model, routes=V2, model_name="credit.v2")
    assert infer(client, NUMERIC, CATEGORY, path="/v2/models/credit.v2/infer").json()["model_name"] == "credit.v2"
    assert client.request("GET", "/v2/models/test").status_code == 404


WRONG: dict[str, tuple[Any, str]] = {
    "no inputs": ({}, "expected a list of tensors"),
    "inputs is no list": ({"inputs": {}}, "expected a list of tensors"),
    "a tensor is no object": ({"inputs": [1]}, "expected a list of tensors"),
    "one is missing": ({"inputs": [NUMERIC]}, "expected each of numeric, category once"),
    "one is twice": ({"inputs": [NUMERIC, NUMERIC]}, "expected each of"),
    "one is unknown": ({"inputs": [NUMERIC, {**CATEGORY, "name": "kategory"}]}, "expected each of"),
    "a name is no text": ({"inputs": [NUMERIC, {**CATEGORY, "name": []}]}, "expected each of"),
    "unknown key": ({"inputs": [NUMERIC, CATEGORY], "output": []}, "Did you mean 'outputs'?"),
    "another output": ({"inputs": [NUMERIC, CATEGORY], "outputs": [{"name": "logits"}]}, "one output, 'probabilities'"),
    "id is a number": ({"inputs": [NUMERIC, CATEGORY], "id": 5}, "id: 5 is not allowed"),
    "a list": ([], "expected an object"),
    "rows differ": ({"inputs": [NUMERIC, {**CATEGORY, "shape": [1, 1], "data": [1]}]}, "expected equally many"),
    "unknown code": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, 4]}]}, "4 is no code; expected 0 to 3"),
    "negative code": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, -1]}]}, "-1 is no code"),
    **{
        f"datatype {value}": ({"inputs": [{**NUMERIC, "datatype": value}, CATEGORY]}, "expected 'FP32'")
        for value in ("FP64", "fp32", "BYTES", None, 1)
    },
    **{
        f"shape {value}": ({"inputs": [{**NUMERIC, "shape": value}, CATEGORY]}, "expected [rows, 2]")
        for value in ([2, 3], [2], [], [0, 2], [-1, 2], [2, 2, 1], None, "22", [2.0, 2], [True, 2], [[2], 2])
    },
    **{
        f"data {value}": ({"inputs": [{**NUMERIC, "data": value}, CATEGORY]}, message)
        for value, message in (
            ([1, 2, 3], "there are 3 values"),
            ([1, 2, 3, 4, 5], "there are 5 values"),
            ([], "there are 0 values"),
            (None, "expected a list of values"),
            ("abcd", "expected a list of values"),
            ([1, 2, 3, "4"], "'4' is not allowed"),
            ([1, 2, 3, True], "True is not allowed"),
            ([1, 2, 3, [4]], "[4] is not allowed"),
            ([1, 2, 3, 1e39], "expected a number from -3.40282e+38"),
            ([[1, 2], 3, 4], "expected a list of values"),
            ([[[1, 2]], [[3, 4]]], "nested as the shape"),
        )
    },
    "code beyond 64 bits": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, 2**63]}]}, "expected a number from"),
    "code far beyond": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, 10**30]}]}, "INT64"),
    "code is a fraction": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, 1.5]}]}, "1.5 is not allowed"),
    "code is null": ({"inputs": [NUMERIC, {**CATEGORY, "data": [0, None]}]}, "None is not allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_400_in_the_protocols_own_words(client: Client, name: str) -> None:
    document, message = WRONG[name]
    response = client.request("POST", INFER, content=json.dumps(document))
    assert response.status_code == 400
    assert response.json().keys() == {"error"}
    assert message in response.json()["error"]


def test_pixels_and_words_have_limits_too(tmp_path: Path, image_model: Model) -> None:
    pixels = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 3, 1], "data": [255] * 12}
    image = Client(image_model, routes=V2)
    assert infer(image, pixels).status_code == 200
    assert infer(image, {**pixels, "data": [256] * 12}).status_code == 400
    words = Schema(
        task="classification",
        inputs=(Tensor(name="text", dtype="int64", shape=(-1, 3)),),
        features=(Feature(name="review", kind="text", vocabulary=("good", "bad")),),
        labels=("no", "yes"),
        target="stars",
    )
    text = Client(load(archives.write(tmp_path, words)), routes=V2)
    codes = {"name": "text", "datatype": "INT64", "shape": [1, 3], "data": [1, 3, 0]}
    assert infer(text, codes).status_code == 200
    assert "4 is no code; expected 0 to 3" in infer(text, {**codes, "data": [1, 4, 0]}).json()["error"]
