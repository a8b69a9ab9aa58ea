"""Hostile and broken bodies: each gets a 4xx that explains, quickly, and the server lives on."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest

from tests.serving.client import Client

GOOD = '{"age": 31, "job": "nurse", "monthly income": 1800.5}'
JSON_BODIES = {
    "empty": "",
    "space": "   ",
    "null": "null",
    "number": "5",
    "list": "[]",
    "string": '"instances"',
    "no instances": "{}",
    "instances null": '{"instances": null}',
    "instances empty": '{"instances": []}',
    "instances object": '{"instances": {}}',
    "instance null": '{"instances": [null]}',
    "instance list": '{"instances": [[1, 2, 3]]}',
    "instance empty": '{"instances": [{}]}',
    "other key": f'{{"instances": [{GOOD}], "parameters": {{}}}}',
    "misspelt": f'{{"instance": [{GOOD}]}}',
    "NaN": GOOD.replace("31", "NaN").join(['{"instances": [', "]}"]),
    "Infinity": GOOD.replace("31", "-Infinity").join(['{"instances": [', "]}"]),
    "overflow": GOOD.replace("31", "1e999").join(['{"instances": [', "]}"]),
    "long integer": GOOD.replace("31", "9" * 5000).join(['{"instances": [', "]}"]),
    "hexadecimal": GOOD.replace("31", "0x1F").join(['{"instances": [', "]}"]),
    "leading zero": GOOD.replace("31", "031").join(['{"instances": [', "]}"]),
    "lone surrogate": GOOD.replace("nurse", "\\ud800").join(['{"instances": [', "]}"]),
    "trailing comma": f'{{"instances": [{GOOD},]}}',
    "trailing text": f'{{"instances": [{GOOD}]}} x',
    "two documents": f'{{"instances": [{GOOD}]}}{{}}',
    "comment": f'{{"instances": [{GOOD}] /* c */}}',
    "single quotes": "{'instances': []}",
    "truncated": f'{{"instances": [{GOOD}',
    "repeated instances": f'{{"instances": [{GOOD}], "instances": [{GOOD}]}}',
    "repeated column": '{"instances": [{"age": 1, "age": 2, "job": null, "monthly income": 3}]}',
    "repeated, escaped": '{"instances": [{"age": 1, "\\u0061ge": 2, "job": null, "monthly income": 3}]}',
    "repeated, quoted": '{"instances": [{"age": 1, "job": "a\\":\\\\", "job": ":", "monthly income": 3}]}',
    "deep list": '{"instances": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep value": '{"instances": [{"age": ' + "[" * 900 + "]" * 900 + ', "job": null, "monthly income": 3}]}',
    "deep repeated": '{"instances": [{"age": ' + '{"a":' * 900 + "1" + "}" * 900 + ', "job": 1, "monthly income": 3}]}',
    "long key": '{"instances": [{"' + "a" * 500_000 + '": 1}]}',
    "many keys": '{"instances": [{' + ",".join(f'"k{i}": 1' for i in range(50_000)) + "}]}",
    "nul": '{"instances": [{"age\\u0000": 1}]}',
    "byte order mark": "\ufeff{}",
}


@pytest.mark.parametrize("name", JSON_BODIES)
def test_broken_json_is_400_and_says_why(credit: Client, name: str) -> None:
    started = time.perf_counter()
    response = credit.invoke(JSON_BODIES[name].encode(), "application/json")
    assert time.perf_counter() - started < 2
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "InvalidInput"
    assert 5 < len(error["message"]) < 600
    assert len(error["path"]) < 200


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_json_in_another_encoding_is_400(credit: Client, encoding: str) -> None:
    body = f'{{"instances": [{GOOD.replace("nurse", "é")}]}}'.encode(encoding)
    assert credit.invoke(body, "application/json").status_code == 400


def test_the_repeated_key_is_named(credit: Client) -> None:
    response = credit.invoke(JSON_BODIES["repeated, escaped"], "application/json")
    assert "'age' is given twice" in response.json()["error"]["message"]


@pytest.mark.parametrize("value", ['"a:b"', '"\\":"', '"\\\\"', '"{\\"age\\": 1}"'])
def test_colons_and_quotes_in_values_are_no_repeated_keys(credit: Client, value: str) -> None:
    body = GOOD.replace('"nurse"', value).join(['{"instances": [', "]}"])
    assert credit.invoke(body, "application/json").status_code == 200


CSV_BODIES = {
    "binary": b"\x89PNG\r\n\x1a\n\0\0",
    "nul": b"age,job,monthly income\n\0,nurse,2\n",
    "only quotes": b'"' * 999,
    "huge field": b"age,job,monthly income\n1," + b"x" * 500_000 + b",2\n",
    "many columns": b",".join(b"c%d" % i for i in range(100_000)) + b"\n" + b"," * 99_999,
    "one repeated column": b",".join([b"age"] * 100_000) + b"\n" + b"," * 99_999,
    "carriage returns": b"age,job\r\r\r1,2",
    "long number": b"age,job,monthly income\n" + b"9" * 100_000 + b",nurse,2\n",
    "long no number": b"age,job,monthly income\n" + b"9" * 100_000 + b"x,nurse,2\n",
}


@pytest.mark.parametrize("name", CSV_BODIES)
def test_broken_csv_is_400_and_says_why(credit: Client, name: str) -> None:
    started = time.perf_counter()
    response = credit.invoke(CSV_BODIES[name], "text/csv")
    assert time.perf_counter() - started < 2
    assert response.status_code == 400, response.text
    assert 5 < len(response.json()["error"]["message"]) < 600


def array_file(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin-1")
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + data


ARRAYS = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "another magic": b"PK\x03\x04" + b"\0" * 50,
    "version 9": array_file("{}", version=b"\x09\x00"),
    "no header": array_file(""),
    "header is code": array_file("__import__('os').abort()"),
    "header lacks keys": array_file("{'descr': '|u1'}"),
    "deep header": array_file("(" * 9000),
    "long header": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1,) }" + " " * 60_000),
    "terabytes": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 4, 3)}"),
    "overflowing": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (9" + "0" * 200 + ",)}"),
    "negative": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -12)}", bytes(12)),
    "shape of text": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': ('a',)}"),
    "objects": array_file("{'descr': '|O', 'fortran_order': False, 'shape': (1, 4, 3)}", bytes(96)),
    "record": array_file("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", bytes(8)),
    "too short": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 3)}", bytes(11)),
    "too long": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 3)}", bytes(13)),
    "true as size": array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (True, 4, 3)}", bytes(11)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_broken_array_is_400_and_says_why(image: Client, name: str) -> None:
    response = image.invoke(ARRAYS[name], "application/x-npy")
    assert response.status_code == 400, response.text
    assert 5 < len(response.json()["error"]["message"]) < 600


def test_damaged_array_headers_are_read_or_refused_but_never_crash(image: Client) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((1, 4, 3), np.uint8))
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(stream.getvalue())
        damaged[random.integers(6, 90)] = random.integers(0, 256)
        assert image.invoke(bytes(damaged), "application/x-npy").status_code in {200, 400}


def test_the_server_still_predicts_after_all_that(credit: Client) -> None:
    for body in JSON_BODIES.values():
        credit.invoke(body.encode(), "application/json")
    assert credit.invoke(f'{{"instances": [{GOOD}]}}', "application/json").status_code == 200
