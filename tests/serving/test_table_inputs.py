"""Rows of a table: what is read, and what is refused with which words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.dates import DATE_PARTS, PARTS, to_parts
from contract.errors import InvalidModel
from contract.manifest import Feature
from serving.errors import Refused
from serving.model import load
from serving.table_inputs import TableReader
from tests.serving import archives
from tests.serving.client import Client

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}
READER = TableReader(archives.CREDIT)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def numbers(tmp_path: Path) -> Iterator[Client]:
    client = Client(load(archives.write(tmp_path, archives.table_schema(archives.AGE, archives.INCOME))))
    yield client
    client.app.close()


def test_json_values_become_the_arrays_of_the_signature() -> None:
    arrays = READER.from_json(
        '{"instances": [{"age": 1, "job": "Zoë", "monthly income": 2.5},'
        ' {"job": null, "monthly income": null, "age": -3e2},'
        ' {"age": 0, "job": "unheard of", "monthly income": 0}]}'.encode()
    )
    np.testing.assert_array_equal(arrays["numeric"], np.array([[1, 2.5], [-300, np.nan], [0, 0]], np.float32))
    np.testing.assert_array_equal(arrays["category"], [[3], [0], [0]])
    assert (arrays["numeric"].dtype, arrays["category"].dtype) == (np.float32, np.int64)


def test_csv_values_become_the_same_arrays() -> None:
    arrays = READER.from_csv(
        '\ufeffjob , credit status,"monthly income",age\r\n'
        '" Zoë",good, 2.5 ,1\r\n,bad, NaN ,-3e2\r\n\r\nother,,+.5,7.\r\nN/A,?,null,NA'.encode()
    )
    np.testing.assert_array_equal(
        arrays["numeric"], np.array([[1, 2.5], [-300, np.nan], [7, 0.5], [np.nan] * 2], np.float32)
    )
    np.testing.assert_array_equal(arrays["category"], [[3], [0], [0], [0]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_is_read_in_every_dialect_that_preparation_reads(credit: Client, delimiter: str, encoding: str) -> None:
    text = 'age,job,monthly income\n30,Zoë,1.5\n,"a, b",\n'
    plain = credit.invoke(text, "text/csv")
    rows = list(csv.reader(io.StringIO(text)))
    other = io.StringIO(newline="")
    csv.writer(other, delimiter=delimiter).writerows(rows)
    answer = credit.invoke(other.getvalue().encode(encoding), "text/csv")
    assert answer.status_code == plain.status_code == 200
    assert answer.json() == plain.json()


def test_an_unknown_category_predicts_as_a_missing_one(credit: Client) -> None:
    missing, unknown, known = credit.instances(
        {**ROW, "job": None}, {**ROW, "job": "astronaut"}, {**ROW, "job": "clerk"}
    ).json()["predictions"]
    assert missing == unknown != known


def test_numbers_that_preparation_rounded_down_are_rounded_here_too() -> None:
    age = replace(archives.AGE, multiple=10)
    reader = TableReader(archives.table_schema(age, archives.INCOME))
    rows = np.array([[39.9, 39.9], [40, 0], [-1, 1], [np.nan, 1]])
    expected = np.array([[30, 39.9], [40, 0], [-10, 1], [np.nan, 1]], np.float32)
    text = "age,monthly income\n39.9,39.9\n40,0\n-1,1\n,1\n"
    np.testing.assert_array_equal(reader.from_csv(text.encode())["numeric"], expected)
    np.testing.assert_array_equal(reader.from_npy(npy(rows))["numeric"], expected)


def test_a_hashed_column_takes_hashes_and_never_the_text() -> None:
    digest = "0123456789abcdef" * 2
    reader = TableReader(archives.table_schema(replace(archives.JOB, hashed=True, vocabulary=(digest,))))
    arrays = reader.from_csv(f"job,credit status\n{digest},good\n,bad\n{'f' * 32},bad\n".encode())
    np.testing.assert_array_equal(arrays["category"], [[1], [0], [0]])
    with pytest.raises(Refused, match="expected the hash, 32 hexadecimal digits") as refused:
        reader.from_json(b'{"instances": [{"job": "nurse"}]}')
    assert "nurse" not in refused.value.message


def test_the_target_may_be_there_and_is_not_looked_at(credit: Client) -> None:
    assert credit.instances({**ROW, "credit status": "good"}).content == credit.instances(ROW).content


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"age": "31"}, "instances[1].age", "'31' is text; expected a number without quotes"),
        ({"age": True}, "instances[1].age", "True is not allowed; expected a number"),
        ({"age": [1]}, "instances[1].age", "[1] is not allowed; expected a number"),
        ({"age": {"a": 1}}, "instances[1].age", "{'a': 1} is not allowed"),
        ({"age": 1e39}, "instances[1].age", "1e+39 is not allowed; expected a number from -3.40282e+38 to"),
        ({"monthly income": ""}, "instances[1].monthly income", "'' is text"),
        ({"job": 7}, "instances[1].job", "7 is not allowed; the column holds text, so send \"7\" in quotes"),
        ({"job": True}, "instances[1].job", "True is not allowed; the column holds text, so send \"true\" in quotes"),
        ({"job": ["nurse"]}, "instances[1].job", "['nurse'] is not allowed; the column holds text, or null"),
        ({"agee": 3}, "instances[1]", "'agee' is no column of this model; it has age, job, monthly income."),
        ({"agee": 3}, "instances[1]", "Did you mean 'age'?"),
        ({"x" * 5000: 3}, "instances[1]", "Send the model's columns only."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_path(credit: Client, change: dict[str, Any], path: str, words: str) -> None:
    error = credit.refusal(ROW, {**ROW, **change})
    assert error["type"] == "InvalidInput"
    assert error["path"] == path
    assert words in error["message"]
    assert len(error["message"]) < 500


def test_an_absent_column_is_refused_by_name(credit: Client) -> None:
    error = credit.refusal({"age": 1, "monthly income": 3})
    assert "column 'job' is absent" in error["message"]
    assert "null (JSON) or an empty field (CSV)" in error["message"]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("age,job,monthly income\n1,nurse,2\nold,nurse,2\n", "line 3, column age", "'old' is not allowed"),
        ("age,job,monthly income\n1_000,nurse,2\n", "line 2, column age", "'1_000'"),
        ("age,job,monthly income\n1,nurse,inf\n", "line 2, column monthly income", "'inf'"),
        ("age,job,monthly income\n1,nurse,1e39\n", "line 2, column monthly income", "float32"),
        ("age,job,monthly income\n\u0661,nurse,1\n", "line 2, column age", "expected a number"),
        ("age,job,monthly income\n1,nurse\n", "line 2", "the row has 2 fields; the header has 3"),
        ("age,job, age ,monthly income\n1,nurse,2,3\n", "line 1", "column 'age' occurs twice"),
        ("age,jobs,monthly income\n1,nurse,2\n", "line 1", "Did you mean 'job'?"),
        ("age,job\n1,nurse\n", "line 1", "column 'monthly income' is absent"),
        ("age,job,monthly income\n", "", "there are no rows"),
        ("", "", "there are no rows"),
        ('age,job,monthly income\n1,"nurse,2\n', "line 2", "is not CSV"),
        ('age,job,monthly income\n1,"nurse"x,2\n', "line 2", "is not CSV"),
        ('"two\nlines",job,monthly income\n1,nurse,2\n', "line 1", r"'two\nlines' is no column"),
    ],
)
def test_wrong_csv_is_refused_by_its_line(credit: Client, text: str, path: str, words: str) -> None:
    response = credit.invoke(text, "text/csv")
    assert response.status_code == 400
    assert response.json()["error"]["path"] == path
    assert words in response.json()["error"]["message"]


def test_csv_that_is_not_utf8_is_refused_by_the_byte(credit: Client) -> None:
    response = credit.invoke("age,job,monthly income\n1,Zoë,2\n".encode("latin-1"), "text/csv")
    assert "not UTF-8: byte 27 is 0xeb" in response.json()["error"]["message"]


def test_a_table_of_numbers_is_read_as_an_array(numbers: Client) -> None:
    array = np.array([[30, 1000], [np.nan, 2000]])
    for form in (array, array.astype(np.float32), np.asfortranarray(array), array.astype(">f8")):
        response = numbers.invoke(npy(form), "application/x-npy")
        same = numbers.instances({"age": 30, "monthly income": 1000}, {"age": None, "monthly income": 2000})
        assert response.json() == same.json()


def test_a_table_with_categories_is_not_read_as_an_array(credit: Client) -> None:
    assert credit.invoke(npy(np.zeros((1, 3))), "application/x-npy").status_code == 415


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3)), "shape is [2, 3]; expected [rows, 2], columns 'age', 'monthly income'"),
        (np.zeros(2), "shape is [2]"),
        (np.array([[1.0, np.inf]]), "inf is not allowed"),
        (np.array([[1.0, 1e39]]), "1e+39 is not allowed"),
        (np.array([["a", "b"]]), "dtype is <U1; expected numbers"),
        (np.zeros((0, 2)), "at least one row"),
        (np.float64(1), "at least one row"),
        (np.zeros((1, 2), complex), "dtype is complex128"),
    ],
)
def test_a_wrong_array_is_refused(numbers: Client, array: Any, words: str) -> None:
    response = numbers.invoke(npy(array), "application/x-npy")
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_a_pickle_in_an_array_is_never_loaded(numbers: Client) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("the pickle ran",))

    response = numbers.invoke(npy(np.array([[Bomb(), 1]], dtype=object)), "application/x-npy")
    assert response.status_code == 400
    assert "never objects" in response.json()["error"]["message"]


def date(name: str, *parts: str) -> tuple[Feature, ...]:
    """Return the features of a column of dates."""
    return tuple(Feature(name=name, kind="date", part=part, statistics={"mean": 20000.0}) for part in parts)


def test_dates_fill_their_columns_between_the_numbers() -> None:
    reader = TableReader(
        archives.table_schema(archives.AGE, *date("born", *DATE_PARTS), archives.INCOME, *date("seen", *PARTS))
    )
    body = b"age,born,seen,monthly income\n1,1990-02-28,2026-01-31 08:30,5\n2,,9999-12-31,6\n"
    numeric = reader.from_csv(body)["numeric"]
    born, seen = to_parts("1990-02-28"), to_parts("2026-01-31T08:30")
    assert born
    assert seen
    expected = [1, *(born[part] for part in DATE_PARTS), 5, *(seen[part] for part in PARTS)]
    np.testing.assert_array_equal(numeric[0], np.array(expected, np.float32))
    missing = [np.nan] * len(DATE_PARTS), [np.nan] * len(PARTS)
    np.testing.assert_array_equal(numeric[1], np.array([2, *missing[0], 6, *missing[1]], np.float32))
    assert "application/x-npy" not in reader.decoders
    assert reader.example()["born"] == "2024-10-04T00:00"


@pytest.mark.parametrize("value", ['"31.01.2026"', '"2026-02-30"', "20260131", "true"])
def test_what_is_no_date_is_refused_with_what_is_expected(value: str) -> None:
    reader = TableReader(archives.table_schema(*date("seen", *PARTS)))
    with pytest.raises(Refused, match=r"expected a date like 2026-01-31|the column holds text") as raised:
        reader.from_json(f'{{"instances": [{{"seen": {value}}}]}}'.encode())
    assert raised.value.path == "instances[0].seen"


def test_values_that_are_not_known_share_buckets() -> None:
    reader = TableReader(archives.table_schema(replace(archives.JOB, buckets=4)))
    jobs = ["clerk", "Zoë", "", *(f"job {number}" for number in range(100))]
    codes = reader.from_csv("\n".join(["job", *(f'"{job}"' for job in jobs)]).encode())["category"][:, 0].tolist()
    assert codes[:3] == [1, 3, 0]
    assert set(codes[3:]) == {4, 5, 6, 7}


def test_a_date_whose_parts_are_named_twice_is_no_schema() -> None:
    with pytest.raises(InvalidModel, match="each named once"):
        TableReader(archives.table_schema(*date("seen", "days", "days")))
