"""Recipe text: words become codes, in preparation as in the server, and classes are learned from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract import keys
from contract.values import word_codes, words
from serving.errors import Refused
from serving.text_inputs import TextReader
from tests.training.builders import ROOT, learned, run_prepare, train_here, training_job
from training import language, optimise, recipes
from training.data import Split, read_schema

TICKETS = (ROOT / "examples/tickets/tickets.csv").read_text()


def settings(**options: Any) -> dict[str, Any]:
    return {"recipe": {"name": "text", **options}, "prepare": {"target": "team"}}


def test_words_are_letters_of_any_script_in_one_form() -> None:
    assert words("Don\u2019t STOP: it's 2nd_hand, ﬁne; Ünïcode 東京!") == [
        "don't", "stop", "it's", "2nd", "hand", "fine", "ünïcode", "東京",
    ]  # fmt: skip
    assert word_codes(["a", "zz", "b", "a"], {"a": 1, "b": 2}, 3) == [1, 3, 2]
    assert word_codes([], {"a": 1}, 2) == [0, 0]


@pytest.mark.parametrize(
    ("network", "epochs", "enough"), [("bag", 12, 0.85), ("transformer", 6, 0.85)], ids=["bag", "transformer"]
)
def test_tickets_are_learned(tmp_path: Path, network: str, epochs: int, enough: float) -> None:
    report, out = run_prepare(tmp_path / "a", {"tickets.csv": TICKETS}, settings(network=network, length=32, width=32))
    assert report.accepted, report.reasons
    base = training_job(tmp_path / "job", out, epochs=epochs)
    train_here(base)
    answers, schema = learned(base)
    rows = Split(out / "dataset/test").everything()
    session = optimise.open_session(optimise.export(answers, schema, {k: v[:2] for k, v in rows.items()}))
    served, recipe = optimise.predict(session, rows, schema), recipes.load("text")
    found = recipe.metrics(served, rows, schema)["accuracy"]
    guess = recipe.metrics(recipe.baseline(Split(out / "dataset/train"), rows, schema), rows, schema)["accuracy"]
    assert found >= enough
    assert guess < 0.4
    np.testing.assert_allclose(served, optimise.predict_with_torch(answers, rows, schema), atol=1e-5)
    blank = {"text": np.zeros_like(rows["text"][:1])}
    assert np.isfinite(optimise.predict(session, blank, schema)).all()


def test_the_vocabulary_is_of_the_training_rows_alone(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"tickets.csv": TICKETS}, settings(length=512))
    codes = Split(out / "dataset/train").everything()["text"]
    known = len(read_schema(out / keys.DATASET).features[0].vocabulary)
    often = np.bincount(codes.ravel(), minlength=known + 2)[1 : known + 1]
    assert often.min() >= 2  # with held-out rows, some would come once here and once there


def test_the_server_and_the_champion_read_texts_as_preparation_did(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"tickets.csv": TICKETS}, settings())
    schema, rows = read_schema(out / keys.DATASET), Split(out / "dataset/test").everything()
    recipe, reader = recipes.load("text"), TextReader(schema)
    lines = TICKETS.splitlines()[1:]
    for index in range(20):
        row = {name: array[index] for name, array in rows.items()}
        asked = {"message": lines[row["row"]].rsplit(",", 1)[0].strip('"')}
        for instance in (asked, recipe.instance(row, schema)):
            given = reader.decoders["application/json"](json.dumps({"instances": [instance]}).encode())
            assert given["text"].tolist() == [row["text"].tolist()]
        encoded = recipe.encode([json.dumps(asked).encode()], schema)
        assert encoded["text"].tolist() == [row["text"].tolist()]
    table = b"team,message\nx,Where is my PARCEL?\n,\n"
    codes = reader.decoders["text/csv"](table)["text"]
    assert codes.shape == (2, schema.inputs[0].shape[1])
    assert not codes[1].any()


@pytest.mark.parametrize(
    ("instance", "says"),
    [
        ({"message": 5}, "expected a text in quotes"),
        ({"massage": "x"}, "Did you mean 'message'"),
        ({}, "column 'message' is absent"),
    ],
    ids=["number", "misspelt", "absent"],
)
def test_the_server_refuses_what_is_no_text(tmp_path: Path, instance: dict[str, Any], says: str) -> None:
    _, out = run_prepare(tmp_path / "a", {"tickets.csv": TICKETS}, settings())
    reader = TextReader(read_schema(out / keys.DATASET))
    with pytest.raises(Refused, match=says):
        reader.decoders["application/json"](json.dumps({"instances": [instance]}).encode())


def test_the_longest_column_is_the_text_and_rows_without_words_are_set_aside(tmp_path: Path) -> None:
    lines = TICKETS.splitlines()
    rows = [f"{n},{line}" for n, line in enumerate(lines[1:])]
    rows[3] = "3,!!! ...,billing"
    report, out = run_prepare(tmp_path / "a", {"t.csv": "\n".join([f"id,{lines[0]}", *rows]) + "\n"}, settings())
    assert report.accepted, report.reasons
    assert read_schema(out / keys.DATASET).features[0].name == "message"
    assert report.rejected_rows == 1
    assert any("'id' are not read" in reason for reason in report.reasons)
    assert any("has no word in the column 'message'" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("content", "asked", "says"),
    [
        ("message,team\n" + "hello there,a\n" * 3, settings(text="body"), "recipe.text is 'body'"),
        ("team\na\nb\n", settings(), "no column to learn from"),
        ("message,team\none two,a\nthree four,b\n", settings(), "no word occurs twice"),
        (TICKETS, {**settings(), "privacy": {"hash": ["message"]}}, "hashes the column of texts"),
    ],
    ids=["no such column", "no column", "no word twice", "hashed"],
)
def test_a_hopeless_table_is_rejected_with_the_reason(
    tmp_path: Path, content: str, asked: dict[str, Any], says: str
) -> None:
    report, _ = run_prepare(tmp_path / "a", {"t.csv": content}, asked)
    assert report.outcome == "REJECTED"
    assert says in " | ".join(report.reasons)


def test_what_stands_behind_a_text_changes_nothing() -> None:
    torch.manual_seed(0)
    short, long = torch.tensor([[3, 1, 2]]), torch.tensor([[3, 1, 2, 0, 0, 0]])
    bag = language.Bag(codes=5, classes=2, width=8)
    torch.testing.assert_close(bag(short), bag(long))
    reader = language.Transformer(codes=5, classes=2, width=8, length=6, layers=2, heads=2)
    seen = reader(long)
    with torch.no_grad():
        reader.places[3:] += 1.0  # of places without a word
    torch.testing.assert_close(reader(long), seen)
