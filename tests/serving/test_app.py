"""The HTTP side: paths, methods, content types, sizes, errors, logs."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pytest

from serving.model import CHUNK, Model, load
from tests.serving import archives
from tests.serving.client import Client

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}


def error(response: Any) -> dict[str, str]:
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    return response.json()["error"]


def test_ping_says_503_until_the_model_is_loaded_and_200_after(credit_model: Model) -> None:
    client = Client(None)
    assert client.request("GET", "/ping").status_code == 503
    assert error(client.instances(ROW))["type"] == "NotReady"
    client.app.serve(credit_model)
    assert client.request("GET", "/ping").status_code == 200


def test_an_answer_names_label_probabilities_and_model(credit: Client) -> None:
    answer = credit.instances(ROW).json()
    assert answer["model"] == {"run": "test-0123456789", "recipe": "tabular", "form": "onnx-float32"}
    [prediction] = answer["predictions"]
    probabilities = prediction["probabilities"]
    assert list(probabilities) == ["bad", "good"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert prediction["label"] == max(probabilities, key=lambda label: probabilities[label])


def test_a_batch_is_answered_in_order_as_onnx_runtime_itself_does(tmp_path: Path) -> None:
    folder = archives.write(tmp_path, archives.CREDIT)
    client = Client(load(folder))
    rows: list[dict[str, Any]] = [
        {**ROW, "age": age, "job": job} for age in range(20, 60) for job in ("clerk", "nurse", "Zoë", "smith")
    ]
    got = [list(p["probabilities"].values()) for p in client.instances(*rows).json()["predictions"]]
    inputs = {
        "numeric": np.array([[row["age"], 1800.5] for row in rows], np.float32),
        "category": np.array([[["smith", "clerk", "nurse", "Zoë"].index(row["job"])] for row in rows]),
    }
    [expected] = onnxruntime.InferenceSession(folder / "model.onnx").run(None, inputs)
    assert got == expected.tolist()


def test_a_batch_larger_than_a_chunk_is_whole(credit: Client) -> None:
    rows = [{**ROW, "age": float(age)} for age in range(2 * CHUNK + 3)]
    predictions = credit.instances(*rows).json()["predictions"]
    assert len(predictions) == len(rows)
    assert predictions[CHUNK + 1] == credit.instances(rows[CHUNK + 1]).json()["predictions"][0]


def test_many_requests_at_once_each_get_their_own_answer(credit: Client) -> None:
    async def all_at_once() -> list[dict[str, Any]]:
        async with credit.session() as session:
            calls = [session.post("/invocations", json={"instances": [{**ROW, "age": age}]}) for age in range(100)]
            return [answer.json()["predictions"][0] for answer in await asyncio.gather(*calls)]

    alone = [credit.instances({**ROW, "age": age}).json()["predictions"][0] for age in range(100)]
    assert asyncio.run(all_at_once()) == alone
    assert len({json.dumps(answer) for answer in alone}) == 100


def test_pings_are_answered_while_the_model_works(tmp_path: Path) -> None:
    slow = archives.network(archives.image_schema(), repeat=30)
    client = Client(load(archives.write(tmp_path, archives.image_schema(), slow)))
    body = {"instances": [{"image": [[1, 2, 3]] * 4}]}

    async def race() -> list[str]:
        finished = []
        async with client.session() as session:

            async def call(name: str, request: Any) -> None:
                assert (await request).status_code == 200
                finished.append(name)

            prediction = asyncio.create_task(call("prediction", session.post("/invocations", json=body)))
            await asyncio.sleep(0.02)
            await call("ping", session.get("/ping"))
            await prediction
        return finished

    assert asyncio.run(race()) == ["ping", "prediction"]


def test_the_answer_can_be_csv(credit: Client) -> None:
    response = credit.invoke(orjson.dumps({"instances": [ROW, ROW]}), "application/json", accept="text/csv")
    assert response.headers["content-type"] == "text/csv"
    header, first, second = response.text.splitlines()
    assert header == "label,probability:bad,probability:good"
    assert first == second
    assert float(first.split(",")[1]) == credit.instances(ROW).json()["predictions"][0]["probabilities"]["bad"]


def test_a_model_of_values_answers_with_them_by_name(tmp_path: Path) -> None:
    client = Client(load(archives.write(tmp_path, archives.values_schema(archives.AGE, archives.INCOME, label="rent"))))
    rows = [{"age": 31, "monthly income": 1800.5}, {"age": None, "monthly income": 0}]
    predictions = client.instances(*rows).json()["predictions"]
    assert [list(prediction) for prediction in predictions] == [["values"], ["values"]]
    values = [prediction["values"]["rent"] for prediction in predictions]
    assert len(set(values)) == 2
    response = client.invoke(orjson.dumps({"instances": rows}), "application/json", accept="text/csv")
    assert response.text.splitlines() == ["rent", *map(str, values)]
    described = client.request("GET", "/").json()
    assert (described["task"], described["target"], described["labels"]) == ("regression", "rent", ["rent"])


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("application/json;q=0.1, text/csv", "text/csv"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
def test_accept_is_negotiated(credit: Client, accept: str, content_type: str) -> None:
    response = credit.invoke(orjson.dumps({"instances": [ROW]}), "application/json", accept=accept)
    assert response.headers["content-type"] == content_type


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "nonsense", "application/json;q=x"])
def test_an_accept_that_allows_no_format_is_406(credit: Client, accept: str) -> None:
    response = credit.invoke(orjson.dumps({"instances": [ROW]}), "application/json", accept=accept)
    assert response.status_code == 406
    assert "application/json, text/csv" in error(response)["message"]


@pytest.mark.parametrize("content_type", ["", "text/html", "application/octet-stream", "image/png"])
def test_another_content_type_is_415_and_lists_what_is_read(credit: Client, content_type: str) -> None:
    response = credit.invoke(b"{}", content_type)
    assert response.status_code == 415
    assert "application/json, text/csv are" in error(response)["message"]


def test_parameters_and_case_of_the_content_type_do_not_matter(credit: Client) -> None:
    assert credit.invoke(orjson.dumps({"instances": [ROW]}), "Application/JSON; charset=utf-8").status_code == 200


def test_a_compressed_body_is_415(credit: Client) -> None:
    response = credit.invoke(b"{}", "application/json", content_encoding="gzip")
    assert response.status_code == 415
    assert "Content-Encoding 'gzip'" in error(response)["message"]


def test_a_declared_body_that_is_too_large_is_413(credit_model: Model) -> None:
    response = Client(credit_model, max_body=2**20).invoke(b" " * (2**20 + 1), "application/json")
    assert response.status_code == 413
    assert "larger than 1 MiB" in error(response)["message"]


def test_a_streamed_body_that_grows_too_large_is_413(credit_model: Model) -> None:
    client = Client(credit_model, max_body=2**20)

    async def call() -> int:
        async def chunks() -> Any:
            for _ in range(20):
                yield b" " * 100_000

        async with client.session() as session:
            headers = {"content-type": "application/json"}
            return (await session.post("/invocations", content=chunks(), headers=headers)).status_code

    assert asyncio.run(call()) == 413


def test_an_unknown_path_names_the_nearest(credit: Client) -> None:
    response = credit.request("GET", "/invocation")
    assert response.status_code == 404
    assert "Did you mean '/invocations'?" in error(response)["message"]


def test_another_method_is_405_and_says_which(credit: Client) -> None:
    response = credit.request("GET", "/invocations")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", ["credit", "image"])
def test_the_example_of_the_schema_is_a_request_that_works(kind: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(kind)
    schema = client.request("GET", "/").json()
    assert schema == client.request("GET", "/schema").json()
    assert client.instances(*schema["example"]["instances"]).status_code == 200
    assert schema["content_types"][0] == "application/json"


def test_an_unexpected_error_is_500_and_logged_without_the_payload(
    credit: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(arrays: object) -> None:
        raise RuntimeError(f"device lost while reading {arrays}")

    monkeypatch.setattr(credit.model, "answers", broken)
    with caplog.at_level(logging.INFO, logger="serving"):
        response = credit.instances({**ROW, "age": 987654})
    assert response.status_code == 500
    assert error(response)["type"] == "InternalError"
    assert "987654" not in lines(caplog)
    assert "RuntimeError" in lines(caplog)
    assert "in broken" in lines(caplog)


def test_a_refused_value_is_not_logged(credit: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="serving"):
        assert "secret" in credit.refusal({**ROW, "age": "secret"})["message"]
    assert "secret" not in lines(caplog)
    assert '"status":400' in lines(caplog)


def lines(caplog: pytest.LogCaptureFixture) -> str:
    """What the container would have written."""
    from serving.logs import JsonFormatter

    return "\n".join(JsonFormatter().format(record) for record in caplog.records if record.name == "serving")
