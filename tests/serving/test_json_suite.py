"""Whatever JSON or near-JSON is sent, wherever in a request, is refused, quickly, and the server lives on."""

from __future__ import annotations

import asyncio
import time

import pytest

from serving.calls import Call, predict_together
from serving.model import Model
from serving.v2 import InferCall
from tests.serving.client import Client
from tests.serving.json_cases import CASES

GOOD = b'{"instances": [{"age": 31, "job": "nurse", "monthly income": 1800.5}]}'
PLACES = {
    "the body": b"%s",
    "the instances": b'{"instances": %s}',
    "an instance": b'{"instances": [%s]}',
    "a number": b'{"instances": [{"age": %s, "job": "nurse", "monthly income": 1800.5}]}',
    "a category": b'{"instances": [{"age": 31, "job": %s, "monthly income": 1800.5}]}',
    "a further key": b'{"instances": [{"age": 31, "job": "nurse", "monthly income": 1800.5}], "more": %s}',
}
RIGHT = {  # JSON that is a value of a column
    ("y_structure_lonely_int", "a number"), ("y_structure_lonely_negative_real", "a number"),
    ("y_structure_lonely_null", "a number"), ("y_structure_lonely_null", "a category"),
    ("y_structure_lonely_string", "a category"), ("y_structure_string_empty", "a category"),
}  # fmt: skip


def call(body: bytes) -> Call:
    return Call(body=body, content_type="application/json", accept="application/json")


@pytest.mark.parametrize("place", PLACES)
def test_every_case_in_every_place_is_refused_unless_it_is_right(credit_model: Model, place: str) -> None:
    calls = [call(PLACES[place].replace(b"%s", text)) for text in CASES.values()]
    started = time.perf_counter()
    responses = predict_together(credit_model, calls)
    assert time.perf_counter() - started < 20  # a second and a half on an idle machine
    wrong = {
        (name, place): (response.status, response.body[:200])
        for name, response in zip(CASES, responses, strict=True)
        if response.status != (200 if (name, place) in RIGHT else 400)
    }
    assert wrong == {}


def test_every_case_is_refused_by_the_v2_protocol_too(credit_model: Model) -> None:
    tensor = b'{"inputs": [{"name": "numeric", "datatype": "FP32", "shape": [1, 2], "data": %s}]}'
    calls = [InferCall("test", place.replace(b"%s", text)) for text in CASES.values() for place in (b"%s", tensor)]
    assert {response.status for response in predict_together(credit_model, calls)} == {400}


def test_over_the_wire_the_server_answers_each_and_lives_on(credit: Client) -> None:
    async def send_all() -> tuple[set[int], int]:
        headers = {"content-type": "application/json"}
        async with credit.session() as session:
            statuses = {
                (await session.post("/invocations", content=text, headers=headers)).status_code
                for text in CASES.values()
            }
            return statuses, (await session.post("/invocations", content=GOOD, headers=headers)).status_code

    assert asyncio.run(send_all()) == ({400}, 200)
